package state

import "testing"

func TestWhatIsHeavyIsForgottenSooner(t *testing.T) {
	r := newRecent[int, int](1000)
	r.heavy, r.weigh = 100, func(v int) int { return v }
	held := func() (sum int) {
		for _, of := range []map[int]int{r.now, r.old} {
			for _, v := range of {
				sum += v
			}
		}
		return sum
	}
	for i := range 500 {
		r.put(i, 30)
		r.put(i, 20) // in place of that
		if sum := held(); sum > 2*(100+30) {
			t.Fatalf("%d bytes are held after %d", sum, i)
		}
		if _, ok := r.get(max(i-1, 0)); !ok {
			t.Fatalf("after %d one of the last is forgotten", i)
		}
	}
	for i := range 500 {
		r.drop(i)
	}
	if r.weight != 0 || held() != 0 {
		t.Errorf("got a weight of %d of nothing", r.weight)
	}
}
