package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// A child is another process of this program, which obeys commands.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start runs this program again, on one core.
func start(core string, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("taskset", append([]string{"-c", core, self}, args...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &child{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

// ask sends a command and waits for its answer.
func (c *child) ask(command string, answer any) error {
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		return err
	}
	return c.answer(answer)
}

// answer reads one line.
func (c *child) answer(answer any) error {
	line, err := c.out.ReadString('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(line), answer)
}

// settle asks the tabs for their tally when nothing more arrives.
func (c *child) settle(t *tally, command string) error {
	pause()
	return c.ask(command, t)
}

func (c *child) end() {
	_ = c.in.Close() // it ends with its input
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// pause is long enough for what is under way on this machine to arrive.
func pause() { time.Sleep(700 * time.Millisecond) }
