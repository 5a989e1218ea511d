#ifndef FUZZ_SCENARIO_H
#define FUZZ_SCENARIO_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
