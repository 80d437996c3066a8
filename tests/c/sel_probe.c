/* The codec as plain functions: what its size is measured on, and what tests call from Python. */
#include "sel_codec.h"

size_t probe_state_b(void);
void probe_init(struct sel_decoder *decoder);
int probe_push(struct sel_decoder *decoder, uint8_t byte);
struct sel_frame probe_frame(const struct sel_decoder *decoder);
size_t probe_encode(uint8_t *out, uint8_t type, uint8_t epoch8, uint16_t seq, const uint8_t *payload, size_t n);

size_t probe_state_b(void)
{
    return sizeof(struct sel_decoder);
}

void probe_init(struct sel_decoder *decoder)
{
    sel_decoder_init(decoder);
}

int probe_push(struct sel_decoder *decoder, uint8_t byte)
{
    return sel_decoder_push(decoder, byte);
}

struct sel_frame probe_frame(const struct sel_decoder *decoder)
{
    return sel_decoder_frame(decoder);
}

size_t probe_encode(uint8_t *out, uint8_t type, uint8_t epoch8, uint16_t seq, const uint8_t *payload, size_t n)
{
    return sel_encode_frame(out, type, epoch8, seq, payload, n);
}
