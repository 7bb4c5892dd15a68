package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/blang/semver/v4"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"
)

// The watchers of bench/fanout, as upstream has them, which is started by it:
//
//	clientv3 fanout TALLY ENDPOINT WATCHERS
//
// One client; for each watcher a Watch of the role's prefix with the previous values, and a
// goroutine that decodes each record into a session.  What comes is noted in the tally, whose layout
// is bench/support/tally.h's.

const (
	tallyHeadBytes = 4096
	tallyLanesMax  = 16
	sessionID0     = 2000000000000
	sessionPrefix  = "fanout/session/querynode"
	settle         = time.Second
)

// The words of struct tally_head.
const (
	headWatchers = iota
	headLaneShift
	headSampleShift
	headSlots
	headStuck
	headLead
	headReady
	headRssOne
	headRssReady
	headFaults
	headUndecoded
	headResyncs
	headFaultWatcher
	headFaultGot
	headFaultExpected
	headWords
)

type tally struct {
	head                                    []int64
	next                                    []uint32
	arrivals                                []uint32
	last                                    []int64
	watchers, laneShift, sampleShift, slots int64
	stuck                                   int64
	base                                    time.Time // and what the clock of the tally was then
	baseNs                                  int64
}

func openTally(path string) (*tally, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	bytes, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()),
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	t := &tally{head: unsafe.Slice((*int64)(unsafe.Pointer(&bytes[0])), headWords)}
	t.watchers, t.laneShift = t.head[headWatchers], t.head[headLaneShift]
	t.sampleShift, t.slots = t.head[headSampleShift], t.head[headSlots]
	t.stuck = t.head[headStuck]
	at := int64(tallyHeadBytes)
	t.next = unsafe.Slice((*uint32)(unsafe.Pointer(&bytes[at])), t.watchers*tallyLanesMax)
	at += t.watchers * tallyLanesMax * 4
	t.arrivals = unsafe.Slice((*uint32)(unsafe.Pointer(&bytes[at])), t.slots)
	at += t.slots*4 + t.slots*8
	t.last = unsafe.Slice((*int64)(unsafe.Pointer(&bytes[at])), t.slots)
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return nil, err
	}
	t.base, t.baseNs = time.Now(), now.Nano()
	return t, nil
}

// CLOCK_MONOTONIC, by the way that costs no system call.
func (t *tally) nowNs() int64 {
	return t.baseNs + int64(time.Since(t.base))
}

func (t *tally) noteFault(watcher, number, expected int64) {
	if atomic.AddInt64(&t.head[headFaults], 1) == 1 {
		atomic.StoreInt64(&t.head[headFaultWatcher], watcher)
		atomic.StoreInt64(&t.head[headFaultGot], number)
		atomic.StoreInt64(&t.head[headFaultExpected], expected)
	}
}

// The same as tally_note.
func (t *tally) note(watcher, number int64) {
	place, lane := number>>t.laneShift, number&(1<<t.laneShift-1)
	next := &t.next[watcher*tallyLanesMax+lane]
	if expected := *next; uint32(place) != expected {
		t.noteFault(watcher, number, int64(expected)<<t.laneShift+lane)
	}
	atomic.StoreUint32(next, uint32(place)+1)
	if place&(1<<t.sampleShift-1) != 0 {
		return
	}
	slot := place>>t.sampleShift<<t.laneShift + lane
	if slot < t.slots &&
		atomic.AddUint32(&t.arrivals[slot], 1) == uint32(t.watchers-t.stuck) {
		atomic.StoreInt64(&t.last[slot], t.nowNs())
	}
}

// ---- upstream's record ----

type indexEngineVersion struct {
	MinimalIndexVersion int32 `json:"MinimalIndexVersion,omitempty"`
	CurrentIndexVersion int32 `json:"CurrentIndexVersion,omitempty"`
}

type sessionRaw struct {
	ServerID           int64  `json:"ServerID,omitempty"`
	ServerName         string `json:"ServerName,omitempty"`
	Address            string `json:"Address,omitempty"`
	Exclusive          bool   `json:"Exclusive,omitempty"`
	Stopping           bool   `json:"Stopping,omitempty"`
	TriggerKill        bool
	Version            string             `json:"Version"`
	IndexEngineVersion indexEngineVersion `json:"IndexEngineVersion,omitempty"`
	LeaseID            *int64             `json:"LeaseID,omitempty"`
	HostName           string             `json:"HostName,omitempty"`
	EnableDisk         bool               `json:"EnableDisk,omitempty"`
}

type session struct {
	sessionRaw
	Version semver.Version
}

func (s *session) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &s.sessionRaw); err != nil {
		return err
	}
	if s.sessionRaw.Version != "" {
		version, err := semver.Parse(s.sessionRaw.Version)
		if err != nil {
			return err
		}
		s.Version = version
	}
	return nil
}

// ---- watchers ----

func (t *tally) watch(watcher int64, responses clientv3.WatchChan) {
	if watcher < t.stuck {
		return // the channel stays open, and nobody reads it
	}
	for response := range responses {
		if err := response.Err(); err != nil {
			fmt.Fprintln(os.Stderr, "clientv3:", err)
			os.Exit(1)
		}
		for _, event := range response.Events {
			record := &session{}
			if err := json.Unmarshal(event.Kv.Value, record); err != nil {
				atomic.AddInt64(&t.head[headUndecoded], 1)
				continue
			}
			t.note(watcher, record.ServerID-sessionID0)
		}
	}
}

// What is resident, without what is shared with other processes.
func ownRss() int64 {
	text, _ := os.ReadFile("/proc/self/status")
	var sumKb int64
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && (fields[0] == "RssAnon:" || fields[0] == "RssFile:") {
			kb, _ := strconv.ParseInt(fields[1], 10, 64)
			sumKb += kb
		}
	}
	return sumKb * 1024
}

// The list and the watch from the revision after it on, as upstream's GetSessions, WatchServices.
func (t *tally) open(client *clientv3.Client, watcher int64) error {
	ctx := context.Background()
	list, err := client.Get(ctx, sessionPrefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	responses := client.Watch(ctx, sessionPrefix, clientv3.WithPrefix(), clientv3.WithPrevKV(),
		clientv3.WithRev(list.Header.Revision+1))
	go t.watch(watcher, responses)
	if atomic.AddInt64(&t.head[headReady], 1) == 1 {
		time.Sleep(settle)
		atomic.StoreInt64(&t.head[headRssOne], ownRss())
	}
	return nil
}

func fanout(path, endpoint string, watchers int64) error {
	t, err := openTally(path)
	if err != nil {
		return err
	}
	client, err := connect(endpoint)
	if err != nil {
		return err
	}
	for i := range watchers {
		if err := t.open(client, i); err != nil {
			return err
		}
	}
	time.Sleep(settle)
	atomic.StoreInt64(&t.head[headRssReady], ownRss())
	fmt.Printf("\nready %s\n", version())
	select {} // until it is killed
}
