package flag

import (
	"crypto/md5"
	"math"
	"math/bits"
	"slices"
	"unsafe"
)

// murmur is MurmurHash3_x86_32 with seed 0 (Austin Appleby, public domain), fed in pieces: the state of a flag's key is
// computed once, and only the user's is hashed at each call.
type murmur struct {
	hash, tail, length uint32
}

const murmurC1, murmurC2 = 0xcc9e2d51, 0x1b873593

func (m murmur) block(k uint32) murmur {
	k *= murmurC1
	k = bits.RotateLeft32(k, 15)
	k *= murmurC2
	m.hash = bits.RotateLeft32(m.hash^k, 13)*5 + 0xe6546b64
	return m
}

// write gives the state after s, too.
func (m murmur) write(s string) murmur {
	for m.length&3 != 0 && s != "" {
		m = m.byte(s[0])
		s = s[1:]
	}
	m.length += uint32(len(s))
	for len(s) >= 4 {
		m = m.block(uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24)
		s = s[4:]
	}
	for i := range len(s) {
		m.tail |= uint32(s[i]) << (8 * i)
	}
	return m
}

func (m murmur) byte(b byte) murmur {
	m.tail |= uint32(b) << (8 * (m.length & 3))
	if m.length++; m.length&3 == 0 {
		m = m.block(m.tail)
		m.tail = 0
	}
	return m
}

func (m murmur) sum() uint32 {
	h := m.hash
	if m.length&3 != 0 {
		k := m.tail * murmurC1
		h ^= bits.RotateLeft32(k, 15) * murmurC2
	}
	h ^= m.length
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

// ringBucket is MD5(user) mod 100, the digest read as one large number: the same users go first for every flag.
func ringBucket(user string) int {
	sum := md5.Sum(unsafe.Slice(unsafe.StringData(user), len(user)))
	remainder := 0
	for _, b := range sum {
		remainder = (remainder<<8 + int(b)) % 100
	}
	return remainder
}

// CBOR's major types (RFC 8949, 3).
const (
	cborUint  = 0 << 5
	cborNeg   = 1 << 5
	cborText  = 3 << 5
	cborArray = 4 << 5
	cborMap   = 5 << 5
)

// cbor feeds v's core deterministic encoding (RFC 8949, 4.2.1), which is what flagd's third hash version hashes: whole
// numbers are integers, other floats are as short as they may be, and members are sorted by their encoded names.
func (m murmur) cbor(v Value) murmur {
	switch v.kind {
	case kindNull:
		return m.byte(0xf6)
	case kindBool:
		return m.byte(0xf4 + byte(v.n))
	case kindNumber:
		return m.cborNumber(v.num())
	case kindString:
		return m.cborHead(cborText, v.n).write(v.str())
	case kindList:
		m = m.cborHead(cborArray, v.n)
		for _, item := range v.items() {
			m = m.cbor(item)
		}
	case kindObject:
		m = m.cborObject(v.members())
	}
	return m
}

func (m murmur) cborObject(members []Attribute) murmur {
	sorted := slices.Clone(members)
	slices.Reverse(sorted) // of two with one name the last counts, and a stable sort keeps it first
	slices.SortStableFunc(sorted, func(a, b Attribute) int {
		switch {
		case len(a.Name) != len(b.Name):
			return len(a.Name) - len(b.Name)
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
	sorted = slices.CompactFunc(sorted, func(a, b Attribute) bool { return a.Name == b.Name })
	m = m.cborHead(cborMap, uint64(len(sorted)))
	for _, member := range sorted {
		m = m.cborHead(cborText, uint64(len(member.Name))).write(member.Name).cbor(member.Value)
	}
	return m
}

func (m murmur) cborNumber(f float64) murmur {
	if f == math.Trunc(f) {
		switch {
		case f >= 0 && f < 1<<64:
			return m.cborHead(cborUint, uint64(f))
		case f < 0 && f >= math.MinInt64:
			return m.cborHead(cborNeg, uint64(-1-int64(f)))
		}
	}
	short := float32(f)
	if float64(short) != f {
		return m.byte(0xfb).bigEndian(math.Float64bits(f), 8)
	}
	if half, ok := float16(math.Float32bits(short)); ok {
		return m.byte(0xf9).bigEndian(uint64(half), 2)
	}
	return m.byte(0xfa).bigEndian(uint64(math.Float32bits(short)), 4)
}

// float16 is the half-precision float of the same value; ok is false where there is none.
func float16(single uint32) (half uint32, ok bool) {
	sign, mantissa := single>>31<<15, single&(1<<23-1)
	switch exponent := int(single>>23&0xff) - 127; {
	case exponent >= -14 && exponent <= 15:
		return sign | uint32(exponent+15)<<10 | mantissa>>13, mantissa&(1<<13-1) == 0
	case exponent >= -24 && exponent < -14: // subnormal
		mantissa |= 1 << 23
		shift := 13 - 14 - exponent
		return sign | mantissa>>shift, mantissa&(1<<shift-1) == 0
	}
	return 0, false
}

func (m murmur) cborHead(major byte, n uint64) murmur {
	switch {
	case n < 24:
		return m.byte(major | byte(n))
	case n <= math.MaxUint8:
		return m.byte(major|24).bigEndian(n, 1)
	case n <= math.MaxUint16:
		return m.byte(major|25).bigEndian(n, 2)
	case n <= math.MaxUint32:
		return m.byte(major|26).bigEndian(n, 4)
	}
	return m.byte(major|27).bigEndian(n, 8)
}

func (m murmur) bigEndian(n uint64, bytes int) murmur {
	for i := bytes - 1; i >= 0; i-- {
		m = m.byte(byte(n >> (8 * i)))
	}
	return m
}
