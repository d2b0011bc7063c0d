package flag

// gate is what must hold before a flag is asked at all. While it is closed the flag is as if it were disabled.
type gate struct {
	prerequisites []prerequisite
	from, until   int64 // Unix seconds; 0 is open
	ramped        bool  // and the flag is no short form, whose percentage the ramp is
}

type prerequisite struct {
	flag    *flag
	variant string
}

// rampStep is the percentage from a moment on.
type rampStep struct {
	at      int64
	percent float64
}

func (g *gate) open(f *flag, ctx *Context) bool {
	if g.from != 0 || g.until != 0 || g.ramped {
		now := ctx.now()
		if now < g.from || g.until != 0 && now >= g.until {
			return false
		}
		if g.ramped {
			percent := f.percentAt(now)
			if inside, ok := f.within(ctx, percent); percent < 100 && !(ok && inside) {
				return false
			}
		}
	}
	for i := range g.prerequisites {
		if g.prerequisites[i].flag.evaluate(ctx).Variant != g.prerequisites[i].variant {
			return false
		}
	}
	return true
}

// percentAt is the ramp's percentage: that of the last step that has begun, 0 before the first.
func (f *flag) percentAt(now int64) float64 {
	percent := 0.0
	for _, s := range f.ramp {
		if s.at > now {
			break
		}
		percent = s.percent
	}
	return percent
}
