// A vAccel client on containerd's ttrpc for Go: an implementation of the protocol that is not ours.
//
// Usage: main SOCKET MODEL DIGEST. For each dialect: create a session, register MODEL by its bytes, run it, register
// it again by DIGEST, run it, unregister both, destroy the session. MODEL doubles int64 numbers. Prints a line for
// each dialect; exit code 1 with the reason where an answer is not what it must be.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/gogo/protobuf/proto"
)

type createRequest struct {
	Flags uint32 `protobuf:"varint,1,opt,name=flags,proto3"`
}

type createResponse struct {
	SessionID int64 `protobuf:"varint,1,opt,name=session_id,proto3"`
}

type blob08 struct {
	Type int32  `protobuf:"varint,1,opt,name=type_,proto3"`
	Name string `protobuf:"bytes,2,opt,name=name,proto3"`
	Data []byte `protobuf:"bytes,3,opt,name=data,proto3"`
	Size uint32 `protobuf:"varint,4,opt,name=size,proto3"`
}

type file07 struct {
	Name      string `protobuf:"bytes,1,opt,name=name,proto3"`
	Path      string `protobuf:"bytes,2,opt,name=path,proto3"`
	PathOwned bool   `protobuf:"varint,3,opt,name=path_owned,proto3"`
	Data      []byte `protobuf:"bytes,4,opt,name=data,proto3"`
	Size      uint32 `protobuf:"varint,5,opt,name=size,proto3"`
}

type register08 struct {
	Paths        []string  `protobuf:"bytes,1,rep,name=paths,proto3"`
	Blobs        []*blob08 `protobuf:"bytes,2,rep,name=blobs,proto3"`
	ResourceType int32     `protobuf:"varint,3,opt,name=resource_type,proto3"`
	ResourceID   int64     `protobuf:"varint,4,opt,name=resource_id,proto3"`
	SessionID    int64     `protobuf:"varint,5,opt,name=session_id,proto3"`
}

type register07 struct {
	Paths        []string  `protobuf:"bytes,1,rep,name=paths,proto3"`
	Files        []*file07 `protobuf:"bytes,2,rep,name=files,proto3"`
	ResourceType uint32    `protobuf:"varint,3,opt,name=resource_type,proto3"`
	ResourceID   int64     `protobuf:"varint,4,opt,name=resource_id,proto3"`
	SessionID    int64     `protobuf:"varint,5,opt,name=session_id,proto3"`
}

type registerResponse struct {
	ResourceID int64 `protobuf:"varint,1,opt,name=resource_id,proto3"`
}

type tensor struct {
	Data []byte  `protobuf:"bytes,1,opt,name=data,proto3"`
	Dims []int64 `protobuf:"varint,2,rep,packed,name=dims,proto3"`
	Type int32   `protobuf:"varint,3,opt,name=type,proto3"`
}

// The two dialects number a run's fields alike.
type runRequest struct {
	SessionID int64     `protobuf:"varint,1,opt,name=session_id,proto3"`
	ModelID   int64     `protobuf:"varint,2,opt,name=model_id,proto3"`
	InTensors []*tensor `protobuf:"bytes,4,rep,name=in_tensors,proto3"`
	Outputs   uint64    `protobuf:"varint,5,opt,name=nr_out_tensors,proto3"`
}

type runResponse struct {
	OutTensors []*tensor `protobuf:"bytes,1,rep,name=out_tensors,proto3"`
}

type unregisterRequest struct {
	ResourceID int64 `protobuf:"varint,1,opt,name=resource_id,proto3"`
	SessionID  int64 `protobuf:"varint,2,opt,name=session_id,proto3"`
}

type destroyRequest struct {
	SessionID int64 `protobuf:"varint,1,opt,name=session_id,proto3"`
}

type empty struct{}

func (m *createRequest) Reset()             { *m = createRequest{} }
func (m *createRequest) String() string     { return proto.CompactTextString(m) }
func (m *createRequest) ProtoMessage()      {}
func (m *createResponse) Reset()            { *m = createResponse{} }
func (m *createResponse) String() string    { return proto.CompactTextString(m) }
func (m *createResponse) ProtoMessage()     {}
func (m *blob08) Reset()                    { *m = blob08{} }
func (m *blob08) String() string            { return proto.CompactTextString(m) }
func (m *blob08) ProtoMessage()             {}
func (m *file07) Reset()                    { *m = file07{} }
func (m *file07) String() string            { return proto.CompactTextString(m) }
func (m *file07) ProtoMessage()             {}
func (m *register08) Reset()                { *m = register08{} }
func (m *register08) String() string        { return proto.CompactTextString(m) }
func (m *register08) ProtoMessage()         {}
func (m *register07) Reset()                { *m = register07{} }
func (m *register07) String() string        { return proto.CompactTextString(m) }
func (m *register07) ProtoMessage()         {}
func (m *registerResponse) Reset()          { *m = registerResponse{} }
func (m *registerResponse) String() string  { return proto.CompactTextString(m) }
func (m *registerResponse) ProtoMessage()   {}
func (m *tensor) Reset()                    { *m = tensor{} }
func (m *tensor) String() string            { return proto.CompactTextString(m) }
func (m *tensor) ProtoMessage()             {}
func (m *runRequest) Reset()                { *m = runRequest{} }
func (m *runRequest) String() string        { return proto.CompactTextString(m) }
func (m *runRequest) ProtoMessage()         {}
func (m *runResponse) Reset()               { *m = runResponse{} }
func (m *runResponse) String() string       { return proto.CompactTextString(m) }
func (m *runResponse) ProtoMessage()        {}
func (m *unregisterRequest) Reset()         { *m = unregisterRequest{} }
func (m *unregisterRequest) String() string { return proto.CompactTextString(m) }
func (m *unregisterRequest) ProtoMessage()  {}
func (m *destroyRequest) Reset()            { *m = destroyRequest{} }
func (m *destroyRequest) String() string    { return proto.CompactTextString(m) }
func (m *destroyRequest) ProtoMessage()     {}
func (m *empty) Reset()                     { *m = empty{} }
func (m *empty) String() string             { return "" }
func (m *empty) ProtoMessage()              {}

const int64Type, model = 5, 2

type dialect struct {
	service, run string
	register     func(session int64, data []byte, path string) proto.Message
}

var dialects = []dialect{
	{"vaccel.sync.agent.AgentService", "TorchModelRun", register08Of},
	{"vaccel.asynchronous.agent.AgentService", "TorchModelRun", register08Of},
	{"vaccel.AgentService", "TorchJitloadForward", register07Of},
}

func register08Of(session int64, data []byte, path string) proto.Message {
	request := &register08{ResourceType: model, SessionID: session}
	if path != "" {
		request.Paths = []string{path}
	} else {
		request.Blobs = []*blob08{{Name: "double.pt", Data: data, Size: uint32(len(data))}}
	}
	return request
}

func register07Of(session int64, data []byte, path string) proto.Message {
	request := &register07{ResourceType: model, ResourceID: -1, SessionID: session}
	if path != "" {
		request.Paths = []string{path}
	} else {
		request.Files = []*file07{{Name: "double.pt", Data: data, Size: uint32(len(data))}}
	}
	return request
}

func main() {
	data, err := os.ReadFile(os.Args[2])
	must(err)
	connection, err := net.Dial("unix", os.Args[1])
	must(err)
	client := ttrpc.NewClient(connection)
	defer client.Close()
	for _, known := range dialects {
		walk(client, known, data, os.Args[3])
		fmt.Println("ok", known.service)
	}
}

func walk(client *ttrpc.Client, known dialect, data []byte, digest string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	call := func(method string, request, reply interface{}) {
		must(client.Call(ctx, known.service, method, request, reply))
	}

	var session createResponse
	call("CreateSession", &createRequest{Flags: 1}, &session)
	var resources []int64
	for _, path := range []string{"", digest} {
		var resource registerResponse
		call("RegisterResource", known.register(session.SessionID, data, path), &resource)
		var answer runResponse
		input := &tensor{Data: numbers(3, 4, -5), Dims: []int64{1, 3}, Type: int64Type}
		call(known.run, &runRequest{SessionID: session.SessionID, ModelID: resource.ResourceID, InTensors: []*tensor{input}, Outputs: 1}, &answer)
		if len(answer.OutTensors) != 1 || !bytes.Equal(answer.OutTensors[0].Data, numbers(6, 8, -10)) {
			must(fmt.Errorf("%s: wrong answer %v", known.service, answer.OutTensors))
		}
		resources = append(resources, resource.ResourceID)
	}
	for _, resource := range resources {
		call("UnregisterResource", &unregisterRequest{ResourceID: resource, SessionID: session.SessionID}, &empty{})
	}
	call("DestroySession", &destroyRequest{SessionID: session.SessionID}, &empty{})
	if err := client.Call(ctx, known.service, "NoSuchMethod", &empty{}, &empty{}); err == nil {
		must(fmt.Errorf("an unknown method was answered"))
	}
}

func numbers(values ...int64) []byte {
	var out bytes.Buffer
	must(binary.Write(&out, binary.LittleEndian, values))
	return out.Bytes()
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
