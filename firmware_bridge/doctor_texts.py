"""What `doctor` can find, in words: a catalogue and nothing else. `doctor` has the rules.

>>> TEXTS[FindingCode.PORT_MISSING].what.filled(port="/dev/ttyACM0").en
'There is no port /dev/ttyACM0.'
"""

from collections.abc import Mapping
from typing import Final

from firmware_bridge.doctor_facts import FindingCode
from firmware_bridge.phrase import Explanation, Phrase

__all__ = ["TEXTS"]


_NO_HARM: Final = Phrase("Nothing to do.", "无需处理。")

TEXTS: Final[Mapping[FindingCode, Explanation]] = {
    FindingCode.PORT_MISSING: Explanation(
        Phrase("There is no port {port}.", "没有端口 {port}。"),
        Phrase(
            "The cable is not plugged in, the adapter or controller has no power, or the port has another name now.",
            "电缆未插好，适配器或控制器未通电，或端口现在是别的名字。",
        ),
        Phrase(
            "`sortloop-link ports` lists what is there; use a name below /dev/serial/by-id: it does not change.",
            "用 `sortloop-link ports` 查看现有端口；请使用 /dev/serial/by-id 下的名字，它不会变。",
        ),
    ),
    FindingCode.PORT_DENIED: Explanation(
        Phrase("This user may not use {port}.", "当前用户无权使用 {port}。"),
        Phrase("The device belongs to the group {group}.", "该设备属于用户组 {group}。"),
        Phrase(
            "`sudo usermod -aG {group} $USER`, then log out and in again; or install the device rule of the package.",
            "运行 `sudo usermod -aG {group} $USER` 后重新登录；或安装软件包中的设备规则。",
        ),
    ),
    FindingCode.PORT_BUSY: Explanation(
        Phrase("Another program holds {port}: {holders}.", "{port} 被其他程序占用：{holders}。"),
        Phrase(
            "The machine's own program is running, or a terminal program or modem manager has taken the port.",
            "机器自身的程序正在运行，或终端程序、调制解调器管理器占用了端口。",
        ),
        Phrase(
            "End that program first. For ModemManager: a device rule with ID_MM_DEVICE_IGNORE=1.",
            "先结束该程序。若是 ModemManager：添加含 ID_MM_DEVICE_IGNORE=1 的设备规则。",
        ),
    ),
    FindingCode.PORT_NO_TERMINAL: Explanation(
        Phrase("{port} is no serial port.", "{port} 不是串口。"),
        Phrase("The name belongs to a file or another kind of device.", "该名字属于文件或其他类型的设备。"),
        Phrase("`sortloop-link ports` lists the serial ports.", "用 `sortloop-link ports` 查看串口。"),
    ),
    FindingCode.PORT_UNREACHABLE: Explanation(
        Phrase("{port} cannot be reached: {text}.", "无法连接 {port}：{text}。"),
        Phrase(
            "Wrong address or port, nobody listens there, or the network between is down.",
            "地址或端口错误，对方没有监听，或网络中断。",
        ),
        Phrase(
            "Check address and port; `ping` the host; look whether the serial server or board program runs.",
            "检查地址和端口；`ping` 对方主机；查看串口服务器或控制器程序是否在运行。",
        ),
    ),
    FindingCode.PORT_FAILED: Explanation(
        Phrase("The port cannot be used: {text}.", "端口无法使用：{text}。"),
        Phrase(
            "The adapter does not know this baud rate, its driver failed, or the name is wrong.",
            "适配器不支持该波特率、驱动出错，或名字有误。",
        ),
        Phrase(
            "Replug the adapter, look into `dmesg`, try --baud 115200.",
            "重新插拔适配器，查看 `dmesg`，尝试 --baud 115200。",
        ),
    ),
    FindingCode.NAME_UNSTABLE: Explanation(
        Phrase("{port} may have another name after the next replug.", "重新插拔后 {port} 可能改名。"),
        Phrase("Numbers are given in the order of plugging in.", "编号按插入顺序分配。"),
        Phrase("Use {name} in the machine's settings.", "在机器设置中使用 {name}。"),
    ),
    FindingCode.LATENCY_TIMER: Explanation(
        Phrase("The USB adapter holds bytes back for up to {ms} ms.", "USB 适配器最多会延迟 {ms} 毫秒才送出数据。"),
        Phrase("Its latency timer is set for throughput.", "其延迟定时器按吞吐量设置。"),
        Phrase(
            "`echo 1 | sudo tee /sys/bus/usb-serial/devices/{tty}/latency_timer`, and a device rule to keep it.",
            "运行 `echo 1 | sudo tee /sys/bus/usb-serial/devices/{tty}/latency_timer`，并用设备规则固定。",
        ),
    ),
    FindingCode.SILENCE: Explanation(
        Phrase(
            "The port is open, but nothing at all came back within {seconds} s.",
            "端口已打开，但 {seconds} 秒内没有收到任何数据。",
        ),
        Phrase(
            "No power, a cable to somewhere else, TX and RX not crossed, or a baud rate other than {baud}.",
            "未通电、电缆接到别处、TX 与 RX 未交叉，或波特率不是 {baud}。",
        ),
        Phrase(
            "In this order: power lamp of the controller, the right port, TX to RX and RX to TX, baud rate, ground.",
            "依次检查：控制器电源灯、端口是否正确、TX 接 RX 且 RX 接 TX、波特率、接地。",
        ),
    ),
    FindingCode.NOISE: Explanation(
        Phrase(
            "{bytes} bytes came back, but not one intact frame among them.",
            "收到 {bytes} 字节，但没有一个完整帧。",
        ),
        Phrase(
            "A baud rate other than {baud}, a missing ground or shield, or a device that speaks something else.",
            "波特率不是 {baud}，缺少接地或屏蔽，或该设备使用别的协议。",
        ),
        Phrase(
            "Try --baud 115200 and 3000000; then ground and shield, and away from motor and valve cables.",
            "尝试 --baud 115200 和 3000000；再检查接地和屏蔽，并远离电机和喷阀电缆。",
        ),
    ),
    FindingCode.ECHO: Explanation(
        Phrase("Our own frames come back ({frames}).", "收到了自己发出的帧（{frames} 个）。"),
        Phrase(
            "TX and RX touch, a loopback plug is in, or a two-wire RS-485 adapter hears itself.",
            "TX 与 RX 短接、插着回环头，或两线 RS-485 适配器收到自身信号。",
        ),
        Phrase(
            "Separate TX and RX; SEL/1 needs both directions at once: RS-422 or four-wire RS-485.",
            "分开 TX 与 RX；SEL/1 需要全双工：RS-422 或四线 RS-485。",
        ),
    ),
    FindingCode.ONE_WAY: Explanation(
        Phrase(
            "The controller is heard ({frames} frames), but it does not answer us.",
            "能收到控制器的数据（{frames} 帧），但它不回应。",
        ),
        Phrase(
            "The wire from computer to controller is broken, or another host is connected to it.",
            "计算机到控制器方向的导线断开，或有另一台主机与它连接。",
        ),
        Phrase(
            "Check our TX wire and its plug; look for a second computer on the line.",
            "检查本机 TX 导线和插头；查看线路上是否有第二台计算机。",
        ),
    ),
    FindingCode.WRONG_VERSION: Explanation(
        Phrase(
            "The controller speaks protocol version {theirs}, this program version {ours}.",
            "控制器的协议版本为 {theirs}，本程序为 {ours}。",
        ),
        Phrase("Firmware and program are of different age.", "固件与程序的版本不同步。"),
        Phrase("Update the older of the two.", "更新较旧的一方。"),
    ),
    FindingCode.LINE_DOWN: Explanation(
        Phrase("The session ended while it was measured: {what}", "测量过程中会话中断：{what}"),
        Phrase("{why}", "{why}"),
        Phrase("{remedy}", "{remedy}"),
    ),
    FindingCode.PINGS_LOST: Explanation(
        Phrase("{lost} of {count} requests had no answer.", "{count} 次请求中有 {lost} 次没有应答。"),
        Phrase("Frames are lost or damaged on the line.", "线路上有帧丢失或损坏。"),
        Phrase(
            "Check plugs, shield and ground; keep the cable short and away from motor and valve cables.",
            "检查插头、屏蔽和接地；电缆尽量短，并远离电机和喷阀电缆。",
        ),
    ),
    FindingCode.SLOW_LINE: Explanation(
        Phrase(
            "A round trip takes {median} ms, 1 of 100 longer than {p99} ms; up to {limit} ms are good.",
            "往返时间 {median} 毫秒，百分之一超过 {p99} 毫秒；{limit} 毫秒以内为好。",
        ),
        Phrase(
            "The adapter collects bytes (latency timer), a hub or network lies between, or this computer is busy.",
            "适配器攒够数据才发送（延迟定时器），中间有集线器或网络，或本机过忙。",
        ),
        Phrase(
            "Fire commands must leave that much earlier. Set the latency timer to 1 ms, plug in without a hub.",
            "喷吹指令必须相应提前发出。将延迟定时器设为 1 毫秒，不经集线器直接插入。",
        ),
    ),
    FindingCode.BUSY_HOST: Explanation(
        Phrase("This program did not get to run for {ms} ms at a time.", "本程序曾连续 {ms} 毫秒得不到运行。"),
        Phrase("This computer is overloaded or slowed down by heat.", "计算机过载或因过热降频。"),
        Phrase(
            "End other programs; give the sorting program a processor core of its own.",
            "关闭其他程序；为分选程序分配独立的处理器核心。",
        ),
    ),
    FindingCode.DAMAGED_HERE: Explanation(
        Phrase(
            "{count} frames from the controller arrived damaged in {seconds} s.",
            "{seconds} 秒内有 {count} 个来自控制器的帧损坏。",
        ),
        Phrase(
            "Interference, a missing ground, or a cable too long for {baud} baud.",
            "干扰、缺少接地，或电缆对 {baud} 波特来说过长。",
        ),
        Phrase(
            "Shield and ground at both ends, twisted pairs, a lower baud rate, or RS-422 beyond 3 m.",
            "两端接好屏蔽和地，使用双绞线，降低波特率；超过 3 米使用 RS-422。",
        ),
    ),
    FindingCode.DAMAGED_THERE: Explanation(
        Phrase(
            "{count} frames from this computer arrived damaged at the controller in {seconds} s.",
            "{seconds} 秒内有 {count} 个发往控制器的帧损坏。",
        ),
        Phrase(
            "Interference on the wire to the controller, or its clock is off for {baud} baud.",
            "发往控制器的导线受干扰，或其时钟与 {baud} 波特不符。",
        ),
        Phrase(
            "As for the other direction; if only this one is bad, look at our TX wire and its plug.",
            "处理方法同另一方向；若仅此方向异常，检查本机 TX 导线和插头。",
        ),
    ),
    FindingCode.OVERRUN: Explanation(
        Phrase("The controller lost {count} bytes for lack of room.", "控制器因缓冲不足丢失了 {count} 字节。"),
        Phrase("Its firmware is too slow for this line rate.", "其固件处理速度跟不上该线路速率。"),
        Phrase("Lower the baud rate, or update the firmware.", "降低波特率，或更新固件。"),
    ),
    FindingCode.GAPS: Explanation(
        Phrase("{count} status frames never came.", "有 {count} 个状态帧没有到达。"),
        Phrase(
            "They were damaged on the line, or this computer did not read in time.",
            "它们在线路上损坏，或本机未及时读取。",
        ),
        Phrase("A few do no harm; see the other findings.", "少量无妨；参见其他结果。"),
    ),
    FindingCode.UNEVEN_CLOCK: Explanation(
        Phrase("The controller's clock scatters by {us} us on ours.", "控制器时钟相对本机抖动 {us} 微秒。"),
        Phrase(
            "Bytes are held back unevenly by an adapter, a network or a busy computer.",
            "适配器、网络或过忙的计算机使数据延迟不均。",
        ),
        Phrase(
            "Fire times that hang on the camera's trigger are not touched; for others use a more direct line.",
            "以相机触发为准的喷吹时刻不受影响；其他情况请使用更直接的线路。",
        ),
    ),
    FindingCode.DRIFT: Explanation(
        Phrase("The controller's clock runs {ppm} ppm off ours.", "控制器时钟与本机相差 {ppm} ppm。"),
        Phrase(
            "A clock without crystal, a wrong tick_hz in the firmware, or too short a measurement.",
            "时钟未使用晶振，固件中的 tick_hz 有误，或测量时间太短。",
        ),
        Phrase(
            "Repeat with --for-s 30; if it stays, correct the firmware.", "用 --for-s 30 再测一次；若仍如此，修正固件。"
        ),
    ),
    FindingCode.FAULT: Explanation(
        Phrase("Fault {name}: {what}", "故障 {name}：{what}"), Phrase("{why}", "{why}"), Phrase("{remedy}", "{remedy}")
    ),
    FindingCode.FAULT_BEFORE: Explanation(
        Phrase(
            "Until this check, the controller held fault {name}: {what}", "本次检查之前，控制器存在故障 {name}：{what}"
        ),
        Phrase("{why}", "{why}"),
        Phrase("{remedy}", "{remedy}"),
    ),
    FindingCode.FAULT_FOREIGN: Explanation(
        Phrase("Fault {bit}, unknown to this program: {text}", "本程序不认识的故障 {bit}：{text}"),
        Phrase("The firmware is newer than this program.", "固件比本程序新。"),
        Phrase("Update this program; the controller's manual knows more.", "更新本程序；详见控制器手册。"),
    ),
    FindingCode.STOPPED_BEFORE: Explanation(
        Phrase(
            "Until this check, the controller was in SAFE without a fault.",
            "本次检查之前，控制器处于 SAFE，且没有故障。",
        ),
        Phrase("The program before ended in good order.", "此前的程序正常退出。"),
        _NO_HARM,
    ),
    FindingCode.JUST_STARTED: Explanation(
        Phrase("The controller started only {seconds} s ago.", "控制器 {seconds} 秒前才启动。"),
        Phrase(
            "It was switched on or plugged in, opening the port reset it, or its supply dipped. It does not say which.",
            "刚上电或刚插入、打开端口使其复位，或电源瞬间跌落。控制器不报告具体原因。",
        ),
        Phrase(
            "If nobody did that: measure its supply while valves fire; run this again and compare.",
            "若无人操作：在喷阀动作时测量其电源；再次运行本检查并比较。",
        ),
    ),
    FindingCode.QUEUE_FULL: Explanation(
        Phrase("The controller's queue has been full: {high} of {slots}.", "控制器队列曾满：{high}/{slots}。"),
        Phrase("More pieces at once than it has slots for.", "同时到来的物料多于其队列容量。"),
        Phrase(
            "See `sortloop-link doctor --explain QUEUE_OVERRUN`.",
            "参见 `sortloop-link doctor --explain QUEUE_OVERRUN`。",
        ),
    ),
    FindingCode.CONFIG_KEPT: Explanation(
        Phrase(
            "The controller holds settings of a program before (0x{crc}).", "控制器保留着此前程序的设置（0x{crc}）。"
        ),
        Phrase("Settings live until power off.", "设置保留到断电为止。"),
        Phrase("Nothing to do: every program sets all of them anew.", "无需处理：每个程序都会重新下发全部设置。"),
    ),
    FindingCode.DICTIONARY_NONE: Explanation(
        Phrase("The controller does not describe itself.", "控制器没有自描述信息。"),
        Phrase("Its firmware has no dictionary.", "其固件没有字典。"),
        Phrase("Nothing to do; its own fault codes stay unexplained.", "无需处理；其自定义故障码将无法解释。"),
    ),
    FindingCode.DICTIONARY_OTHER: Explanation(
        Phrase(
            "The controller's messages are not quite those of this program (0x{crc}).",
            "控制器的报文与本程序不完全一致（0x{crc}）。",
        ),
        Phrase("Firmware and program are of different age.", "固件与程序的版本不同步。"),
        Phrase("Sorting works; update the older of the two when convenient.", "不影响分选；方便时更新较旧的一方。"),
    ),
    FindingCode.DICTIONARY_DAMAGED: Explanation(
        Phrase("The controller's dictionary does not fit its checksum.", "控制器的字典与其校验和不符。"),
        Phrase("Its memory is damaged, or the firmware was built wrongly.", "其存储器损坏，或固件构建有误。"),
        Phrase(
            "Flash the firmware again; if it stays, replace the controller.", "重新烧录固件；若仍如此，更换控制器。"
        ),
    ),
    FindingCode.NO_SELFTEST: Explanation(
        Phrase("The controller cannot measure its valves.", "控制器无法测量喷阀。"),
        Phrase("It has no current sensing.", "没有电流检测。"),
        Phrase(
            "Use `sortloop-link fire` and listen at the nozzles.", "使用 `sortloop-link fire` 并在喷嘴处听声音判断。"
        ),
    ),
    FindingCode.SUPPLY_LOW: Explanation(
        Phrase(
            "The valve supply is {volt} V; good is {low} to {high} V.",
            "喷阀电源为 {volt} V；正常为 {low} 至 {high} V。",
        ),
        Phrase("Overloaded or aging power supply, thin or long wires.", "电源过载或老化，导线过细或过长。"),
        Phrase(
            "Measure at the power supply and at the controller; valves open late below that.",
            "分别在电源端和控制器端测量；电压过低时喷阀打开变慢。",
        ),
    ),
    FindingCode.SUPPLY_HIGH: Explanation(
        Phrase(
            "The valve supply is {volt} V; good is {low} to {high} V.",
            "喷阀电源为 {volt} V；正常为 {low} 至 {high} V。",
        ),
        Phrase("The power supply is set too high or is the wrong one.", "电源设置过高或型号错误。"),
        Phrase("Set it to 24 V before coils burn.", "在线圈烧坏之前调到 24 V。"),
    ),
    FindingCode.AIR_LOW: Explanation(
        Phrase(
            "The air pressure is {kpa} kPa; good is {low} to {high} kPa.",
            "气压为 {kpa} kPa；正常为 {low} 至 {high} kPa。",
        ),
        Phrase(
            "Compressor off, filter blocked, a leak, or the regulator.", "空压机未开、过滤器堵塞、漏气或调压阀问题。"
        ),
        Phrase("Check compressor, filter and regulator; listen for leaks.", "检查空压机、过滤器和调压阀；听是否漏气。"),
    ),
    FindingCode.AIR_HIGH: Explanation(
        Phrase(
            "The air pressure is {kpa} kPa; good is {low} to {high} kPa.",
            "气压为 {kpa} kPa；正常为 {low} 至 {high} kPa。",
        ),
        Phrase("The regulator is set too high.", "调压阀设置过高。"),
        Phrase("Lower it: too hard a jet takes good pieces with it.", "调低：气流过强会带走好料。"),
    ),
    FindingCode.TOO_HOT: Explanation(
        Phrase("The controller is at {temp} C; good is up to {high} C.", "控制器温度为 {temp} C；应不超过 {high} C。"),
        Phrase("A blocked fan or a closed cabinet in the sun.", "风扇堵塞，或机柜密闭暴晒。"),
        Phrase("Clean the fan and the filter mat.", "清洁风扇和滤网。"),
    ),
    FindingCode.TOO_COLD: Explanation(
        Phrase("The controller is at {temp} C; good is from {low} C.", "控制器温度为 {temp} C；应不低于 {low} C。"),
        Phrase("A cold room, or a broken sensor.", "环境过冷，或传感器损坏。"),
        Phrase("Let the machine warm up: cold valves open late.", "让机器预热：喷阀过冷时打开变慢。"),
    ),
    FindingCode.NOT_MEASURED: Explanation(
        Phrase("The controller does not measure: {what}.", "控制器不测量：{what}。"),
        Phrase("It has no such sensor.", "没有相应的传感器。"),
        Phrase("Read the gauges at the machine.", "请查看机器上的仪表。"),
    ),
    FindingCode.HEALTHY: Explanation(
        Phrase("Port, line and controller are in good order.", "端口、线路和控制器状况良好。"),
        Phrase(
            "{pings} requests answered, 99 of 100 within {p99} ms, no frame damaged in {seconds} s.",
            "{pings} 次请求均有应答，99% 在 {p99} 毫秒之内，{seconds} 秒内没有损坏的帧。",
        ),
        _NO_HARM,
    ),
}
