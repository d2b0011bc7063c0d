package flag

// fractional puts the context into a bucket: flagd's second hash version, or its third where the flag asks for it.
func (m *machine) fractional(n *node) Value {
	s := n.split
	if s == nil || !s.fixed {
		return m.computedSplit(n)
	}
	var hash uint32
	var ok bool
	if s.hasKey {
		key := m.eval(&n.args[0])
		if key.kind == kindList {
			return m.computedSplit(n) // the rule gave a bucket
		}
		hash, ok = m.hash(key, n.level)
	} else {
		hash, ok = m.implicitHash(n.level)
	}
	if !ok || m.failure != "" || s.total == 0 {
		return Value{}
	}
	bucket := bucketOf(hash, s.total)
	for i, end := range s.ends {
		if bucket < end {
			return s.names[i]
		}
	}
	return Value{}
}

// bucketOf spreads a hash over total buckets without a modulo's skew.
func bucketOf(hash, total uint32) uint32 { return uint32(uint64(hash) * uint64(total) >> 32) }

// hash is of a key that the rule gives. A null one is as none, but in the third version, where it is an error.
func (m *machine) hash(key Value, level uint8) (uint32, bool) {
	switch {
	case level > 0 && m.scratch.levels[level].kind < kindObject:
		return 0, false
	case m.flag.third:
		return murmur{}.cbor(key).sum(), key.kind != kindNull && key.kind != kindContext
	case key.kind == kindString:
		return murmur{}.write(key.str()).sum(), true
	case key.kind == kindNull:
		return m.implicitHash(level)
	}
	return 0, false
}

// implicitHash is of the flag's key and the targeting key, or the attribute that the flag buckets by.
func (m *machine) implicitHash(level uint8) (uint32, bool) {
	if level > 0 && m.scratch.levels[level].kind != kindContext {
		return m.elementHash(m.scratch.levels[level])
	}
	var buffer [24]byte
	key, ok := m.flag.bucketKey(m.ctx, buffer[:0])
	if !ok {
		return 0, false
	}
	if m.flag.third {
		return m.flag.salt.cborHead(cborText, uint64(len(key))).write(key).sum(), true
	}
	return m.flag.salt.write(key).sum(), true
}

// elementHash is flagd's answer inside of an iteration, where the element stands for the context.
func (m *machine) elementHash(element Value) (uint32, bool) {
	if element.kind != kindObject {
		return 0, false
	}
	key := element.member(targetingKeyName)
	if key.kind != kindString || key.n == 0 {
		return 0, false
	}
	var flagKey string
	if properties := element.member(flagdName); properties.kind == kindObject {
		flagKey = properties.member("flagKey").textOf()
	}
	if m.flag.third {
		return murmur{}.cbor(List(String(flagKey), key)).sum(), true
	}
	return murmur{}.write(flagKey).write(key.str()).sum(), true
}

// bucketKey is who is put into a bucket; a number only where the flag names an attribute of its own.
func (f *flag) bucketKey(ctx *Context, buffer []byte) (string, bool) {
	if f.bucketBy == nil {
		key := ctx.targetingKey()
		return key.textOf(), key.kind == kindString && key.n > 0
	}
	v := ctx.walk(f.bucketBy)
	if v.kind == kindNumber {
		return text(appendNumber(buffer, v.num())), true
	}
	return v.textOf(), v.kind == kindString && v.n > 0
}

// computedSplit is a fractional of which more is computed than the key.
func (m *machine) computedSplit(n *node) Value {
	items, isList := m.arguments(n)
	if m.failure != "" || !isList || len(items) == 0 {
		return Value{}
	}
	var hash uint32
	var ok bool
	if first := items[0]; first.kind == kindList {
		hash, ok = m.implicitHash(n.level)
	} else {
		hash, ok = m.hash(first, n.level)
		items = items[1:]
	}
	total, weightsOK := totalWeight(items)
	if !ok || !weightsOK || total == 0 {
		return Value{}
	}
	bucket, end := bucketOf(hash, total), uint32(0)
	for _, item := range items {
		pair := item.items()
		end += pairWeight(pair)
		if bucket < end {
			return pair[0]
		}
	}
	return Value{}
}

func pairWeight(pair []Value) uint32 {
	if len(pair) < 2 {
		return 1
	}
	w, _ := bucketWeight(pair[1])
	return w
}

func totalWeight(buckets []Value) (uint32, bool) {
	total := int64(0)
	for _, b := range buckets {
		if b.kind != kindList || b.n == 0 || b.items()[0].kind > kindString {
			return 0, false
		}
		if pair := b.items(); len(pair) > 1 {
			if _, ok := bucketWeight(pair[1]); !ok {
				return 0, false
			}
		}
		total += int64(pairWeight(b.items()))
	}
	return uint32(total), total <= maxWeights
}

// percentScale is the number of buckets of a percentage: it goes in steps of 0.001.
const percentScale = 100_000

// rollout is the short form's percentage, which a ramp moves over time; null without a user.
func (m *machine) rollout(n *node) Value {
	percent := n.value.num()
	if m.flag.ramp != nil {
		percent = m.flag.percentAt(m.ctx.now())
	}
	inside, ok := m.flag.within(m.ctx, percent)
	switch {
	case !ok:
		return Value{}
	case inside:
		return String("on")
	}
	return String("off")
}

// within says whether the context is among the percentage; ok is false where there is nobody to ask about.
func (f *flag) within(ctx *Context, percent float64) (inside, ok bool) {
	var buffer [24]byte
	key, ok := f.bucketKey(ctx, buffer[:0])
	switch {
	case !ok:
		return false, false
	case f.ring:
		return float64(ringBucket(key)) < percent, true
	}
	return f.rolloutBucket(key) < uint32(percent*percentScale/100+0.5), true
}

// rolloutBucket is one of percentScale: where flagd's fractional without a key puts the flag's user in the short form, and by
// a salt of its own in a full form's ramp. The short form takes the flag's hash version; a ramp's buckets are those of the second.
func (f *flag) rolloutBucket(key string) uint32 {
	hash := f.rampSalt
	if f.third && f.short {
		hash = hash.cborHead(cborText, uint64(len(key)))
	}
	return bucketOf(hash.write(key).sum(), percentScale)
}
