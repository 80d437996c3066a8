/* Made from sel1.toml by `python -m firmware_bridge.generate`; do not edit.
 *
 * For tests only: unpack a payload into its struct and pack it again. It must not be in a controller. */
#ifndef SEL_REPACK_H
#define SEL_REPACK_H

#include "sel_msgs.h"

/* Returns the length of what it packed, 0 when the payload is refused or the type unknown; `out` holds
 * 1024 bytes. */
static inline size_t sel_repack(uint8_t type, const uint8_t *payload, size_t n, uint8_t *out)
{
    union {
        struct sel_hello hello;
        struct sel_ident ident;
        struct sel_dict_read dict_read;
        struct sel_dict_data dict_data;
        struct sel_clock_req clock_req;
        struct sel_clock_rsp clock_rsp;
        struct sel_trigger_stamp trigger_stamp;
        struct sel_ctrl_ack ctrl_ack;
        struct sel_eject_batch eject_batch;
        struct sel_eject_mask eject_mask;
        struct sel_eject_cancel eject_cancel;
        struct sel_eject_ack eject_ack;
        struct sel_eject_exc eject_exc;
        struct sel_heartbeat heartbeat;
        struct sel_status status;
        struct sel_fault fault;
        struct sel_set_state set_state;
        struct sel_cfg_set cfg_set;
        struct sel_cfg_val cfg_val;
        struct sel_selftest selftest;
        struct sel_selftest_res selftest_res;
        struct sel_feeder_set feeder_set;
        struct sel_verdict verdict;
        struct sel_xfer_open xfer_open;
        struct sel_xfer_data xfer_data;
        struct sel_xfer_ack xfer_ack;
        struct sel_xfer_done xfer_done;
        struct sel_log log;
        struct sel_error error;
    } u;

    switch (type) {
    case SEL_TYPE_HELLO:
        return sel_unpack_hello(&u.hello, payload, n) ? sel_pack_hello(out, &u.hello) : 0;
    case SEL_TYPE_IDENT:
        return sel_unpack_ident(&u.ident, payload, n) ? sel_pack_ident(out, &u.ident) : 0;
    case SEL_TYPE_DICT_READ:
        return sel_unpack_dict_read(&u.dict_read, payload, n) ? sel_pack_dict_read(out, &u.dict_read) : 0;
    case SEL_TYPE_DICT_DATA:
        return sel_unpack_dict_data(&u.dict_data, payload, n) ? sel_pack_dict_data(out, &u.dict_data) : 0;
    case SEL_TYPE_CLOCK_REQ:
        return sel_unpack_clock_req(&u.clock_req, payload, n) ? sel_pack_clock_req(out, &u.clock_req) : 0;
    case SEL_TYPE_CLOCK_RSP:
        return sel_unpack_clock_rsp(&u.clock_rsp, payload, n) ? sel_pack_clock_rsp(out, &u.clock_rsp) : 0;
    case SEL_TYPE_TRIGGER_STAMP:
        return sel_unpack_trigger_stamp(&u.trigger_stamp, payload, n) ? sel_pack_trigger_stamp(out, &u.trigger_stamp) : 0;
    case SEL_TYPE_CTRL_ACK:
    case SEL_TYPE_CTRL_ACK | SEL_TO_HOST:
        return sel_unpack_ctrl_ack(&u.ctrl_ack, payload, n) ? sel_pack_ctrl_ack(out, &u.ctrl_ack) : 0;
    case SEL_TYPE_EJECT_BATCH:
        return sel_unpack_eject_batch(&u.eject_batch, payload, n) ? sel_pack_eject_batch(out, &u.eject_batch) : 0;
    case SEL_TYPE_EJECT_MASK:
        return sel_unpack_eject_mask(&u.eject_mask, payload, n) ? sel_pack_eject_mask(out, &u.eject_mask) : 0;
    case SEL_TYPE_EJECT_CANCEL:
        return sel_unpack_eject_cancel(&u.eject_cancel, payload, n) ? sel_pack_eject_cancel(out, &u.eject_cancel) : 0;
    case SEL_TYPE_EJECT_ACK:
        return sel_unpack_eject_ack(&u.eject_ack, payload, n) ? sel_pack_eject_ack(out, &u.eject_ack) : 0;
    case SEL_TYPE_EJECT_EXC:
        return sel_unpack_eject_exc(&u.eject_exc, payload, n) ? sel_pack_eject_exc(out, &u.eject_exc) : 0;
    case SEL_TYPE_HEARTBEAT:
        return sel_unpack_heartbeat(&u.heartbeat, payload, n) ? sel_pack_heartbeat(out, &u.heartbeat) : 0;
    case SEL_TYPE_STATUS:
        return sel_unpack_status(&u.status, payload, n) ? sel_pack_status(out, &u.status) : 0;
    case SEL_TYPE_FAULT:
        return sel_unpack_fault(&u.fault, payload, n) ? sel_pack_fault(out, &u.fault) : 0;
    case SEL_TYPE_SET_STATE:
        return sel_unpack_set_state(&u.set_state, payload, n) ? sel_pack_set_state(out, &u.set_state) : 0;
    case SEL_TYPE_CFG_SET:
        return sel_unpack_cfg_set(&u.cfg_set, payload, n) ? sel_pack_cfg_set(out, &u.cfg_set) : 0;
    case SEL_TYPE_CFG_VAL:
        return sel_unpack_cfg_val(&u.cfg_val, payload, n) ? sel_pack_cfg_val(out, &u.cfg_val) : 0;
    case SEL_TYPE_SELFTEST:
        return sel_unpack_selftest(&u.selftest, payload, n) ? sel_pack_selftest(out, &u.selftest) : 0;
    case SEL_TYPE_SELFTEST_RES:
        return sel_unpack_selftest_res(&u.selftest_res, payload, n) ? sel_pack_selftest_res(out, &u.selftest_res) : 0;
    case SEL_TYPE_FEEDER_SET:
        return sel_unpack_feeder_set(&u.feeder_set, payload, n) ? sel_pack_feeder_set(out, &u.feeder_set) : 0;
    case SEL_TYPE_VERDICT:
    case SEL_TYPE_VERDICT | SEL_TO_HOST:
        return sel_unpack_verdict(&u.verdict, payload, n) ? sel_pack_verdict(out, &u.verdict) : 0;
    case SEL_TYPE_XFER_OPEN:
    case SEL_TYPE_XFER_OPEN | SEL_TO_HOST:
        return sel_unpack_xfer_open(&u.xfer_open, payload, n) ? sel_pack_xfer_open(out, &u.xfer_open) : 0;
    case SEL_TYPE_XFER_DATA:
    case SEL_TYPE_XFER_DATA | SEL_TO_HOST:
        return sel_unpack_xfer_data(&u.xfer_data, payload, n) ? sel_pack_xfer_data(out, &u.xfer_data) : 0;
    case SEL_TYPE_XFER_ACK:
    case SEL_TYPE_XFER_ACK | SEL_TO_HOST:
        return sel_unpack_xfer_ack(&u.xfer_ack, payload, n) ? sel_pack_xfer_ack(out, &u.xfer_ack) : 0;
    case SEL_TYPE_XFER_DONE:
    case SEL_TYPE_XFER_DONE | SEL_TO_HOST:
        return sel_unpack_xfer_done(&u.xfer_done, payload, n) ? sel_pack_xfer_done(out, &u.xfer_done) : 0;
    case SEL_TYPE_LOG:
    case SEL_TYPE_LOG | SEL_TO_HOST:
        return sel_unpack_log(&u.log, payload, n) ? sel_pack_log(out, &u.log) : 0;
    case SEL_TYPE_ERROR:
    case SEL_TYPE_ERROR | SEL_TO_HOST:
        return sel_unpack_error(&u.error, payload, n) ? sel_pack_error(out, &u.error) : 0;
    default:
        return 0;
    }
}

#endif
