// Command probe is what the check of the cluster runs in pods, and once on the machine itself.
//
//	probe index           says which part of an Indexed Job it is
//	probe serve ADDRESS   answers HTTP with the path that was asked for, until it is told to end
//	probe get URL         says what is answered there
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 1 && arguments[0] == "index":
		fmt.Println("index", os.Getenv("JOB_COMPLETION_INDEX"))
		return nil
	case len(arguments) == 2 && arguments[0] == "serve":
		return serve(arguments[1])
	case len(arguments) == 2 && arguments[0] == "get":
		return get(arguments[1])
	}
	return fmt.Errorf("what is %q?", arguments)
}

func serve(address string) error {
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: address, Handler: http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
		fmt.Fprintln(out, "you said", request.URL.Path)
	})}
	context.AfterFunc(ended, func() { server.Close() })
	fmt.Println("serving", address)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	// Whoever ends well when told to end has done his part, for a Job.
	os.Exit(128 + int(syscall.SIGTERM))
	return nil
}

func get(url string) error {
	client := &http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}
