package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"golang.org/x/sys/unix"
)

// One that stands for the role of bench/failover, which starts it:
//
//	clientv3 failover BOARD SLOT ENDPOINT TTL_S election|single-key
//
// It prints "ready VERSION" when it stands, and does what its slot says each time SIGUSR1 comes,
// until it is killed.  The board's layout is bench/support/board.h's.

const (
	boardSlotWords = 32
	boardSlots     = 128
	boardKeyBytes  = 192
	boardKeyOffset = 64

	stateAway, stateStanding, stateActive = 0, 1, 2
	orderResign, orderClose, orderJoin    = 1, 2, 3
)

// The words of struct board_slot.
const (
	slotState = iota
	slotOrder
	slotDone
	slotActivations
	slotActivatedNs
	slotLeftNs
	slotWaitingSince
	slotLost
)

const (
	electionPrefix = "failover/election"
	activeKey      = "failover/session/coordinator"
	retryPause     = 100 * time.Millisecond // upstream's
	lookPause      = 5 * time.Millisecond
	revokeTimeout  = time.Second // upstream's
)

type slot struct {
	words []int64
	key   []byte
}

func openSlot(path string, number int) (*slot, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	bytes, err := syscall.Mmap(int(file.Fd()), 0, boardSlots*boardSlotWords*8,
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	mine := bytes[number*boardSlotWords*8 : (number+1)*boardSlotWords*8]
	return &slot{
		words: unsafe.Slice((*int64)(unsafe.Pointer(&mine[0])), boardKeyOffset/8),
		key:   mine[boardKeyOffset : boardKeyOffset+boardKeyBytes],
	}, nil
}

func (s *slot) set(word int, value int64) { atomic.StoreInt64(&s.words[word], value) }

func monotonicNs() int64 {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0
	}
	return now.Nano()
}

// The same as board_note_active.
func (s *slot) noteActive(atNs int64, key string) {
	s.key[copy(s.key[:boardKeyBytes-1], key)] = 0
	s.set(slotActivatedNs, atNs)
	s.set(slotState, stateActive)
	atomic.AddInt64(&s.words[slotActivations], 1)
}

// What a candidate has while its lease lives.
type standing interface {
	campaign(ctx context.Context) error // returns when it acts
	resign(ctx context.Context) error
	close() error
	lost() <-chan struct{}
	active() string  // the key by which it acts
	waiting() string // the key by which it stands
}

type opener func() (standing, error)

// ---- concurrency.Election ----

type queued struct {
	session  *concurrency.Session
	election *concurrency.Election
}

func (q *queued) campaign(ctx context.Context) error { return q.election.Campaign(ctx, "clientv3") }
func (q *queued) resign(ctx context.Context) error   { return q.election.Resign(ctx) }
func (q *queued) close() error                       { return q.session.Close() }
func (q *queued) lost() <-chan struct{}              { return q.session.Done() }
func (q *queued) active() string                     { return q.waiting() }
func (q *queued) waiting() string {
	return fmt.Sprintf("%s/%x", electionPrefix, q.session.Lease())
}

func openQueued(client *clientv3.Client, ttlS int) (standing, error) {
	session, err := concurrency.NewSession(client, concurrency.WithTTL(ttlS))
	if err != nil {
		return nil, err
	}
	return &queued{session, concurrency.NewElection(session, electionPrefix)}, nil
}

// ---- upstream's ProcessActiveStandBy ----

// A Txn on one key whenever anything happens to it.
type singleKey struct {
	client *clientv3.Client
	lease  clientv3.LeaseID
	record sessionRaw
	stop   context.CancelFunc
	over   chan struct{}
}

func openSingleKey(client *clientv3.Client, number, ttlS int) (standing, error) {
	granted, err := client.Grant(context.Background(), int64(ttlS))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	renewed, err := client.KeepAlive(ctx, granted.ID)
	if err != nil {
		stop()
		return nil, err
	}
	id := int64(granted.ID)
	k := &singleKey{client: client, lease: granted.ID, stop: stop, over: make(chan struct{}),
		record: sessionRaw{ServerID: int64(100 + number), ServerName: "coordinator",
			Address: "127.0.0.1:1", Exclusive: true, Version: "2.4.2", LeaseID: &id}}
	go func() {
		for range renewed {
		}
		close(k.over)
	}()
	value, err := json.Marshal(&k.record)
	if err != nil {
		return nil, err
	}
	put, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.Version(k.waiting()), "=", 0)).
		Then(clientv3.OpPut(k.waiting(), string(value), clientv3.WithLease(k.lease))).Commit()
	if err == nil && !put.Succeeded {
		err = fmt.Errorf("%s is there already", k.waiting())
	}
	return k, err
}

func (k *singleKey) registerActive(ctx context.Context) (bool, int64, error) {
	value, err := json.Marshal(&k.record)
	if err != nil {
		return false, -1, err
	}
	answer, err := k.client.Txn(ctx).
		If(clientv3.Compare(clientv3.Version(activeKey), "=", 0)).
		Then(clientv3.OpPut(activeKey, string(value), clientv3.WithLease(k.lease))).Commit()
	if err != nil {
		return false, -1, err
	}
	return answer.Succeeded, answer.Header.Revision, nil
}

// It watches from the revision of the Txn that failed on, and for one response, as upstream does:
// so when nothing was written since the last change of the key, it is told of that again and again.
func (k *singleKey) campaign(ctx context.Context) error {
	for ctx.Err() == nil {
		won, revision, err := k.registerActive(ctx)
		if err != nil {
			time.Sleep(retryPause)
			continue
		}
		if won {
			return nil
		}
		watching, cancel := context.WithCancel(ctx)
		responses := k.client.Watch(watching, activeKey, clientv3.WithPrevKV(),
			clientv3.WithRev(revision))
		select {
		case <-ctx.Done():
		case <-responses:
		}
		cancel()
	}
	return ctx.Err()
}

func (k *singleKey) resign(context.Context) error { return fmt.Errorf("upstream cannot resign") }

func (k *singleKey) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
	defer cancel()
	_, err := k.client.Revoke(ctx, k.lease)
	k.stop()
	return err
}

func (k *singleKey) lost() <-chan struct{} { return k.over }
func (k *singleKey) active() string        { return activeKey }
func (k *singleKey) waiting() string       { return fmt.Sprintf("%s-%d", activeKey, k.record.ServerID) }

// ---- what it is told to do ----

type candidate struct {
	slot     *slot
	client   *clientv3.Client
	open     opener
	standing standing        // nil: it is away
	won      chan error      // of the campaign that runs
	cancel   func()          // ends it
	over     <-chan struct{} // of the session; nil: none
}

// The clock is asked before anybody is told.
func (c *candidate) campaign() {
	ctx, cancel := context.WithCancel(context.Background())
	standing, won := c.standing, make(chan error, 1)
	c.cancel, c.won, c.over = cancel, won, standing.lost()
	go func() {
		err := standing.campaign(ctx)
		if err == nil {
			c.slot.noteActive(monotonicNs(), standing.active())
		}
		won <- err
	}()
}

func (c *candidate) join() error {
	var err error
	if c.standing == nil {
		if c.standing, err = c.open(); err != nil {
			return err
		}
	}
	c.slot.set(slotState, stateAway)
	c.campaign()
	for {
		found, err := c.client.Get(context.Background(), c.standing.waiting())
		if err != nil {
			return err
		}
		if len(found.Kvs) > 0 {
			c.slot.set(slotWaitingSince, found.Kvs[0].CreateRevision)
			atomic.CompareAndSwapInt64(&c.slot.words[slotState], stateAway, stateStanding)
			return nil
		}
		time.Sleep(lookPause)
	}
}

func (c *candidate) resign() error {
	c.slot.set(slotLeftNs, monotonicNs())
	err := c.standing.resign(context.Background())
	c.slot.set(slotState, stateAway)
	return err
}

func (c *candidate) leave() error {
	c.slot.set(slotLeftNs, monotonicNs())
	err := c.standing.close()
	c.forget()
	return err
}

func (c *candidate) forget() {
	c.cancel()
	c.standing, c.over = nil, nil
	c.slot.set(slotState, stateAway)
}

func (c *candidate) obey() error {
	var err error
	switch atomic.LoadInt64(&c.slot.words[slotOrder]) {
	case orderResign:
		err = c.resign()
	case orderClose:
		err = c.leave()
	case orderJoin:
		err = c.join()
	}
	atomic.AddInt64(&c.slot.words[slotDone], 1)
	return err
}

func (c *candidate) live(orders <-chan os.Signal) error {
	for {
		var err error
		select {
		case <-orders:
			err = c.obey()
		case <-c.over:
			atomic.AddInt64(&c.slot.words[slotLost], 1)
			c.forget()
			err = c.join()
		}
		if err != nil {
			return err
		}
	}
}

func failover(path, endpoint string, number, ttlS int, kind string) error {
	orders := make(chan os.Signal, 1)
	signal.Notify(orders, syscall.SIGUSR1)
	slot, err := openSlot(path, number)
	if err != nil {
		return err
	}
	client, err := connect(endpoint)
	if err != nil {
		return err
	}
	c := &candidate{slot: slot, client: client}
	c.open = func() (standing, error) { return openQueued(client, ttlS) }
	if kind == "single-key" {
		c.open = func() (standing, error) { return openSingleKey(client, number, ttlS) }
	}
	if err := c.join(); err != nil {
		return err
	}
	fmt.Printf("\nready %s\n", version())
	return c.live(orders)
}
