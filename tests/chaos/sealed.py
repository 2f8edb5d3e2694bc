"""Reads the file of a sealed log (master/logs/sealed.h), by its description alone: a second opinion on what the master wrote."""
import ctypes, ctypes.util, struct

MAGIC, FOOT, ENTRY, ZSTD = b"PWLOG1\r\n", 64, 52, 1 << 31
TABLE = []
for i in range(256):
    c = i
    for _ in range(8):
        c = c >> 1 ^ (0x82F63B78 if c & 1 else 0)
    TABLE.append(c)
zstd = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
zstd.ZSTD_decompress.restype = ctypes.c_size_t
zstd.ZSTD_decompress.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)
zstd.ZSTD_isError.restype = ctypes.c_uint
zstd.ZSTD_isError.argtypes = (ctypes.c_size_t,)
FRAME_MAX = 1 << 22


class Bad(Exception):
    pass


def crc32c(data):
    c = 0xFFFFFFFF
    for b in data:
        c = TABLE[(c ^ b) & 255] ^ c >> 8
    return c ^ 0xFFFFFFFF


def unpack(data, size):
    out = ctypes.create_string_buffer(max(size, 1))
    n = zstd.ZSTD_decompress(out, size, data, len(data))
    if zstd.ZSTD_isError(n) or n != size:
        raise Bad("a frame does not decode")
    return out.raw[:size]


def read(path, key):
    """(bytes of the log as a list of (position, bytes), total bytes, lines); Bad when it is no whole sealed log of `key`."""
    data = open(path, "rb").read()
    if len(data) < FOOT or data[-FOOT:-FOOT + 8] != MAGIC:
        raise Bad("no foot")
    foot = data[-FOOT:]
    attempt, step, stream, frames, marks, size, lines, _, index_crc, foot_crc = struct.unpack("<QIIIIQQqII", foot[8:])
    if crc32c(foot[:-4]) != foot_crc:
        raise Bad("the foot's sum is wrong")
    if (attempt, step, stream) != key:
        raise Bad(f"it is the log {(attempt, step, stream)}")
    begin = len(data) - FOOT - marks - frames * ENTRY
    if begin < 0 or crc32c(data[begin:-FOOT]) != index_crc:
        raise Bad("the index' sum is wrong")
    parts, at, end = [], 0, 0
    for i in range(frames):
        pos, _, where, _, raw, _, n, _, _ = struct.unpack("<QQQqIIIII", data[begin + i * ENTRY:begin + (i + 1) * ENTRY])
        packed, raw = raw & ZSTD, raw & ~ZSTD
        if where != at or pos < end or raw > FRAME_MAX or at + n > begin:
            raise Bad("frames lie in disorder")
        piece = data[where:where + n]
        parts.append((pos, unpack(piece, raw) if packed else piece))
        at, end = at + n, pos + len(parts[-1][1])
    if at != begin or end != size:
        raise Bad("it does not add up to its size")
    return parts, size, lines
