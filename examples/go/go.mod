module vestibule.test/example

go 1.26.0

require (
	github.com/chromedp/chromedp v0.23.0
	github.com/scalekit-inc/scalekit-sdk-go/v2 v2.8.0
	github.com/vestibule-idp/vestibule/helpers/go v0.0.0
)

require (
	buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go v1.34.2-20240717164558-a6c49f84cc0f.2 // indirect
	connectrpc.com/connect v1.16.2 // indirect
	github.com/chromedp/cdproto v0.159.0 // indirect
	github.com/go-jose/go-jose/v4 v4.1.4 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/grpc-ecosystem/grpc-gateway/v2 v2.23.0 // indirect
	golang.org/x/sync v0.19.0 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20241021214115-324edc3d5d38 // indirect
	google.golang.org/protobuf v1.35.2 // indirect
)

replace github.com/vestibule-idp/vestibule/helpers/go => ../../helpers/go
