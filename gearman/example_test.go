package gearman_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"sync"

	"github.com/geartrain/geartrain/gearman"
	"github.com/geartrain/geartrain/server"
)

// startExample runs a server and a worker for the examples. stop ends both.
func startExample() (addr string, stop func()) {
	quiet := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	srv, err := server.New(server.Config{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	lns, err := srv.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	addr = lns[0].Addr().String()
	w, err := gearman.NewWorker(gearman.WorkerConfig{Servers: []string{addr}, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	w.Handle("echo", func(_ context.Context, job *gearman.Job) ([]byte, error) { return job.Payload(), nil })
	divide.Handle(w, func(_ context.Context, q quotient) (int, error) {
		if q.By == 0 {
			return 0, errors.New("division by zero")
		}
		return q.N / q.By, nil
	})
	var running sync.WaitGroup
	running.Go(func() { _ = srv.Serve(ctx, lns...) }) // both end with ctx
	running.Go(func() { _ = w.Run(ctx) })
	return addr, func() {
		cancel()
		running.Wait()
	}
}

type quotient struct{ N, By int }

// What can be asked for: declared once, for clients and workers.
var divide = gearman.NewFunc[quotient, int]("divide")

func ExampleTaskSet() {
	addr, stop := startExample()
	defer stop()
	ctx := context.Background()
	client, err := gearman.Dial(ctx, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	sum := 0
	set := client.NewTaskSet(ctx)
	for i := range 10 { // each is worked on as soon as it is added
		set.Add(gearman.Task{
			Function:   "echo",
			Payload:    fmt.Append(nil, i),
			OnComplete: func(r gearman.Result) { sum += len(r.Payload) },
		})
	}
	if err := set.Wait(); err != nil { // the barrier
		log.Fatal(err)
	}
	fmt.Println(sum, set.Progress().Completed)
	// Output: 10 10
}

func ExampleTaskSet_Results() {
	addr, stop := startExample()
	defer stop()
	ctx := context.Background()
	client, err := gearman.Dial(ctx, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	set := client.NewTaskSet(ctx)
	results := set.Results() // before the first Add
	for _, word := range []string{"gear", "train"} {
		set.Add(gearman.Task{Function: "echo", Payload: []byte(word)})
	}
	for r, err := range results { // in the order of their ends
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(r.Payload))
	}
	// Unordered output:
	// gear
	// train
}

func ExampleFunc() {
	addr, stop := startExample()
	defer stop()
	ctx := context.Background()
	client, err := gearman.Dial(ctx, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	set := client.NewTaskSet(ctx)
	four, three := divide.Add(set, quotient{8, 2}), divide.Add(set, quotient{9, 3})
	if err := set.Wait(); err != nil {
		log.Fatal(err)
	}
	a, _ := four.Wait(ctx) // already there, and without an error since Wait gave none
	b, _ := three.Wait(ctx)
	fmt.Println(a + b)

	_, err = divide.Do(ctx, client, quotient{1, 0})
	failure, _ := errors.AsType[*gearman.TaskError](err)
	fmt.Println(errors.Is(err, gearman.ErrTaskFailed), string(failure.Exception))
	// Output:
	// 7
	// true division by zero
}

func ExampleClient_Submit() {
	addr, stop := startExample()
	defer stop()
	ctx := context.Background()
	client, err := gearman.Dial(ctx, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	handle, err := client.Submit(ctx, gearman.Task{Function: "nightly", Key: "2026-08-01", Priority: gearman.Low})
	if err != nil {
		log.Fatal(err)
	}
	status, err := client.Status(ctx, handle)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.Known, status.Running) // nobody serves "nightly" here
	// Output: true false
}
