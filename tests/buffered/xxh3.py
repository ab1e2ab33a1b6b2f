"""XXH3, 64 bits, with a seed: what buffered mailboxes check their bytes with, as slow as it is short."""

import struct

WORD = (1 << 64) - 1
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
PRIME32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
PRIME64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
MIX = (0x165667919E3779F9, 0x9FB21C651E98DF25)


def word(data, at=0):
    return int.from_bytes(data[at : at + 8], "little")


def half(data, at=0):
    return int.from_bytes(data[at : at + 4], "little")


def swap(value, size):
    return int.from_bytes(value.to_bytes(size, "little"), "big")


def rotate(value, by):
    return (value << by | value >> (64 - by)) & WORD


def fold(one, other):
    product = (one & WORD) * (other & WORD)
    return product & WORD ^ product >> 64


def avalanche(value):
    value &= WORD
    value = (value ^ value >> 37) * MIX[0] & WORD
    return value ^ value >> 32


def avalanche_old(value):
    value &= WORD
    value = (value ^ value >> 33) * PRIME64[1] & WORD
    value = (value ^ value >> 29) * PRIME64[2] & WORD
    return value ^ value >> 32


def mix(data, at, secret, seed):
    low = word(data, at) ^ word(SECRET, secret) + seed & WORD
    high = word(data, at + 8) ^ word(SECRET, secret + 8) - seed & WORD
    return fold(low, high)


def upto_16(data, seed):
    size = len(data)
    if size > 8:
        low = word(data) ^ (word(SECRET, 24) ^ word(SECRET, 32)) + seed & WORD
        high = word(data, size - 8) ^ (word(SECRET, 40) ^ word(SECRET, 48)) - seed & WORD
        return avalanche(size + swap(low, 8) + high + fold(low, high))
    if size > 3:
        seed ^= swap(seed & 0xFFFFFFFF, 4) << 32
        flip = (word(SECRET, 8) ^ word(SECRET, 16)) - seed & WORD
        value = half(data, size - 4) + (half(data) << 32) ^ flip
        value ^= rotate(value, 49) ^ rotate(value, 24)
        value = value * MIX[1] & WORD
        value = (value ^ (value >> 35) + size) * MIX[1] & WORD
        return value ^ value >> 28
    if size > 0:
        value = data[0] << 16 | data[size >> 1] << 24 | data[-1] | size << 8
        return avalanche_old(value ^ (half(SECRET) ^ half(SECRET, 4)) + seed & WORD)
    return avalanche_old(seed ^ word(SECRET, 56) ^ word(SECRET, 64))


def upto_240(data, seed):
    size = len(data)
    value = size * PRIME64[0]
    if size <= 128:
        for i in range((size - 1) // 32 + 1):
            value += mix(data, 16 * i, 32 * i, seed) + mix(data, size - 16 * (i + 1), 32 * i + 16, seed)
        return avalanche(value)
    for i in range(8):
        value += mix(data, 16 * i, 16 * i, seed)
    value = avalanche(value)
    for i in range(8, size // 16):
        value += mix(data, 16 * i, 16 * (i - 8) + 3, seed)
    return avalanche(value + mix(data, size - 16, 136 - 17, seed))


def accumulate(sums, words, keys):
    for i in range(8):
        key = words[i] ^ keys[i]
        sums[i ^ 1] = sums[i ^ 1] + words[i] & WORD
        sums[i] = sums[i] + (key & 0xFFFFFFFF) * (key >> 32) & WORD


def any_size(data, seed):
    size = len(data)
    pairs = struct.unpack("<24Q", SECRET)
    secret = struct.pack("<24Q", *((pair + (-seed if i % 2 else seed)) & WORD for i, pair in enumerate(pairs)))
    sums = [PRIME32[2], *PRIME64[:4], PRIME32[1], PRIME64[4], PRIME32[0]]
    for stripe in range((size - 1) // 64):
        keys = struct.unpack_from("<8Q", secret, stripe % 16 * 8)
        accumulate(sums, struct.unpack_from("<8Q", data, 64 * stripe), keys)
        if stripe % 16 == 15:
            for i, key in enumerate(struct.unpack_from("<8Q", secret, 128)):
                sums[i] = (sums[i] ^ sums[i] >> 47 ^ key) * PRIME32[0] & WORD
    accumulate(sums, struct.unpack_from("<8Q", data, size - 64), struct.unpack_from("<8Q", secret, 121))
    value = size * PRIME64[0]
    for i in range(4):
        value += fold(sums[2 * i] ^ word(secret, 11 + 16 * i), sums[2 * i + 1] ^ word(secret, 19 + 16 * i))
    return avalanche(value)


def xxh3(data, seed):
    seed &= WORD
    return (upto_16 if len(data) <= 16 else upto_240 if len(data) <= 240 else any_size)(bytes(data), seed)
