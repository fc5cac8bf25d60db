package e2e_test

import (
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// TestRabbitMQRunsOutOfMemoryInTheMiddleOfClicks: it takes nothing, and does not say so to whoever
// waits. Replicas say that they are degraded, clicks count, and when there is memory again all goes
// on by itself.
func TestRabbitMQRunsOutOfMemoryInTheMiddleOfClicks(t *testing.T) {
	t.Parallel()
	w := newCluster(t, demo(), rabbitPostgres, demo().kinds[0], false)
	w.startReplicas(3)
	w.fill(false)
	w.load()
	w.hold(time.Second)
	w.broker.Control("set_vm_memory_high_watermark", "absolute", "1MB")
	w.degraded(w.ps[0], "broker")
	w.noneWaits(3 * time.Second)
	w.broker.Control("set_vm_memory_high_watermark", "0.6")
	w.recovered()
	w.hold(time.Second)
	w.settle()
	t.Logf("in step %s after there was memory again", w.took)
}

// TestNoSecretOfRabbitMQIsEverShown is for RabbitMQ what it is for NATS.
func TestNoSecretOfRabbitMQIsEverShown(t *testing.T) {
	t.Parallel()
	noSecretIsShown(t, "AMQP_URL", testserver.RabbitMQTLS(t, testserver.NewAuthority(t), ""))
}
