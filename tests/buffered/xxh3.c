/* XXH3 for the checks in damage.py, which seal what they have forged. */
#define XXH_INLINE_ALL
#include <xxhash.h>

unsigned long long xxh3(const void *bytes, size_t length, unsigned long long seed);

unsigned long long xxh3(const void *bytes, size_t length, unsigned long long seed)
{
    return XXH3_64bits_withSeed(bytes, length, seed);
}
