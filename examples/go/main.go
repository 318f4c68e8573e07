// Command client writes records to golog and reads them back, over each method of log.v1.Log. It is an example
// of a Go client: start a node (./run.sh in the checkout), then `go run . -addr localhost:8400` here.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	logv1 "golog/api/log/v1"
)

func main() {
	addr := flag.String("addr", "localhost:8400", "HOST:PORT of the gRPC listener of any node")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx, *addr); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string) error {
	// Without TLS, as a node on the loopback is. With it: credentials.NewTLS and the CA of `golog certs init`.
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := logv1.NewLogClient(conn)

	servers, err := client.GetServers(ctx, &logv1.GetServersRequest{})
	if err != nil {
		return fmt.Errorf("GetServers: %w", err)
	}
	for _, server := range servers.Servers {
		fmt.Printf("server %s at %s, leader: %t\n", server.Id, server.RpcAddr, server.IsLeader)
	}

	first, err := produceAndConsume(ctx, client, "one")
	if err != nil {
		return err
	}
	streamed := []string{"two", "three", "four"}
	if err := produceStream(ctx, client, streamed); err != nil {
		return fmt.Errorf("ProduceStream: %w", err)
	}
	if err := consumeStream(ctx, client, first, 1+len(streamed)); err != nil {
		return fmt.Errorf("ConsumeStream: %w", err)
	}
	return nil
}

// produceAndConsume appends one record, reads it back and returns its offset.
func produceAndConsume(ctx context.Context, client logv1.LogClient, value string) (uint64, error) {
	produced, err := client.Produce(ctx, &logv1.ProduceRequest{Record: &logv1.Record{Value: []byte(value)}})
	if err != nil {
		return 0, fmt.Errorf("Produce: %w", err)
	}
	consumed, err := client.Consume(ctx, &logv1.ConsumeRequest{Offset: produced.Offset})
	if err != nil {
		return 0, fmt.Errorf("Consume: %w", err)
	}
	fmt.Printf("produced and consumed %q at offset %d\n", consumed.Record.Value, consumed.Record.Offset)
	return produced.Offset, nil
}

// produceStream sends all values before it waits for the first answer; answers keep the order of the requests.
func produceStream(ctx context.Context, client logv1.LogClient, values []string) error {
	stream, err := client.ProduceStream(ctx)
	if err != nil {
		return err
	}
	for _, value := range values {
		err := stream.Send(&logv1.ProduceRequest{Record: &logv1.Record{Value: []byte(value)}})
		if errors.Is(err, io.EOF) {
			break // The server ended the stream: Recv says why.
		}
		if err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for _, value := range values {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		fmt.Printf("produced %q at offset %d\n", value, response.Offset)
	}
	return nil
}

// consumeStream prints count records from an offset on. The stream would continue with new records as they are appended.
func consumeStream(ctx context.Context, client logv1.LogClient, offset uint64, count int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.ConsumeStream(ctx, &logv1.ConsumeRequest{Offset: offset})
	if err != nil {
		return err
	}
	for range count {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		fmt.Printf("consumed %q at offset %d\n", response.Record.Value, response.Record.Offset)
	}
	return nil
}
