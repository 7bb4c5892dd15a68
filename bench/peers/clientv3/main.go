// Sessions of Go's etcd client, as its users open them, for bench/freeze to compare with:
//
//	clientv3 SESSIONS TTL_S SPREAD_MS PREFIX ENDPOINTS...
//
// One client for each of ENDPOINTS ("A,B,C", another first in each); SESSIONS sessions over them by
// turns, begun evenly over SPREAD_MS, each with a key PREFIX<n> under its lease.  It prints a line
// when it is ready, and one when a session is over; and ends when its standard output is closed, or
// by a signal.  With "fanout" as its first argument it is the peer of bench/fanout: see fanout.go;
// with "failover" of bench/failover: see failover.go.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
)

// What is waited for at start, when nothing is wrong with etcd.
const startTimeout = 20 * time.Second

func version() string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, module := range info.Deps {
			if module.Path == "go.etcd.io/etcd/client/v3" {
				return module.Version
			}
		}
	}
	return "unknown"
}

// The warnings of a client whose etcd is frozen are no part of the comparison.
func connect(endpoints string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints:            strings.Split(endpoints, ","),
		DialTimeout:          startTimeout,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		Logger:               zap.NewNop(),
	})
}

func open(client *clientv3.Client, ttlS int, key string) (*concurrency.Session, error) {
	session, err := concurrency.NewSession(client, concurrency.WithTTL(ttlS))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	_, err = client.Put(ctx, key, "clientv3", clientv3.WithLease(session.Lease()))
	return session, err
}

// Says when a session is over by the only means it has of saying so.
func follow(number int, session *concurrency.Session, over chan<- string) {
	<-session.Done()
	over <- fmt.Sprintf("done %d", number)
}

func run(sessions, ttlS, spreadMs int, prefix string, endpoints []string) error {
	clients := make([]*clientv3.Client, len(endpoints))
	over := make(chan string, sessions)
	for i, each := range endpoints {
		client, err := connect(each)
		if err != nil {
			return err
		}
		clients[i] = client
	}
	began := time.Now()
	for i := range sessions {
		time.Sleep(time.Until(began.Add(time.Duration(i*spreadMs/sessions) * time.Millisecond)))
		session, err := open(clients[i%len(clients)], ttlS, prefix+strconv.Itoa(i))
		if err != nil {
			return err
		}
		fmt.Printf("lease %d\n", int64(session.Lease()))
		go follow(i, session, over)
	}
	fmt.Printf("ready %s\n", version())
	for line := range over {
		if _, err := fmt.Println(line); err != nil {
			return err
		}
	}
	return nil
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil || value < 1 {
		fmt.Fprintf(os.Stderr, "clientv3: %q is no number above 0\n", text)
		os.Exit(2)
	}
	return value
}

func main() {
	if len(os.Args) == 5 && os.Args[1] == "fanout" {
		err := fanout(os.Args[2], os.Args[3], int64(number(os.Args[4])))
		fmt.Fprintln(os.Stderr, "clientv3:", err)
		os.Exit(1)
	}
	if len(os.Args) == 7 && os.Args[1] == "failover" {
		slot, err := strconv.Atoi(os.Args[3])
		if err == nil {
			err = failover(os.Args[2], os.Args[4], slot, number(os.Args[5]), os.Args[6])
		}
		fmt.Fprintln(os.Stderr, "clientv3:", err)
		os.Exit(1)
	}
	if len(os.Args) < 6 {
		fmt.Fprintln(os.Stderr, "usage: clientv3 SESSIONS TTL_S SPREAD_MS PREFIX ENDPOINTS...")
		os.Exit(2)
	}
	err := run(number(os.Args[1]), number(os.Args[2]), number(os.Args[3]), os.Args[4], os.Args[5:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "clientv3:", err)
		os.Exit(1)
	}
}
