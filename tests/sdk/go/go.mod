module vestibule.test/sdk

go 1.25.0

// The one place that says which version of the SDK is tested; `run` takes further versions from versions/.
require github.com/scalekit-inc/scalekit-sdk-go/v2 v2.8.0

require (
	connectrpc.com/connect v1.16.2
	github.com/go-jose/go-jose/v4 v4.1.4
)

require (
	buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go v1.34.2-20240717164558-a6c49f84cc0f.2 // indirect
	github.com/grpc-ecosystem/grpc-gateway/v2 v2.23.0 // indirect
	golang.org/x/sync v0.19.0 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20241021214115-324edc3d5d38 // indirect
	google.golang.org/protobuf v1.35.2 // indirect
)
