package lockstep

import "lockstep/state"

// Producer returns a producer of a client, which nobody else uses on the topic. Its ops take
// the same way as those of tabs do, and every replica shows them. A program of its own has one by
// an App without pages, on the same broker and store. It may be resumed once the App has started,
// and is to be closed before the App stops: what is left then is answered Retry. Nil options are
// the defaults. The error is ErrNoTopic.
func (a *App) Producer(topic string, client state.Client, opts *state.ProducerOptions) (*state.Producer, error) {
	if _, _, ok := a.family(topic); !ok {
		return nil, ErrNoTopic
	}
	return state.NewProducer(a.batcher, a.store, topic, client, opts), nil
}
