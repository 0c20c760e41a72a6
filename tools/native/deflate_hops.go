// SPDX-License-Identifier: Apache-2.0

package main

// The distance of a match that was not predicted, as the number of better candidates before it on the simulation's own chain.

const hopLimit = 4096

// hops calls visit for each earlier place on the chain of a place that matches length bytes, nearest first.
func (e *engine) hops(here, length int, visit func(distance, hop int) bool) {
	at := int(e.head[e.hashAt(here)])
	hop := 0
	for step := 0; step < hopLimit && at > 0; step++ {
		if here-at > maxDistance {
			return
		}
		if at < here && e.common(here, at) >= length {
			if hop++; !visit(here-at, hop) {
				return
			}
		}
		below := int(e.prev[at&e.mask&(windowMax-1)])
		if below >= at {
			return
		}
		at = below
	}
}

// hopOf counts the candidates up to the right one; 0 if it is not on the chain.
func (e *engine) hopOf(here int, t token) (found int) {
	e.hops(here, t.length(), func(distance, hop int) bool {
		if distance == t.distance() {
			found = hop
		}
		return distance < t.distance()
	})
	return found
}

// distanceOf is the distance of a candidate, or 0 if there are fewer.
func (e *engine) distanceOf(here, length, wanted int) (found int) {
	e.hops(here, length, func(distance, hop int) bool {
		if hop == wanted {
			found = distance
		}
		return hop < wanted
	})
	return found
}
