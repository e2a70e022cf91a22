module vestibule.test/example

go 1.26.0

require (
	github.com/chromedp/chromedp v0.23.0
	github.com/scalekit-inc/scalekit-sdk-go/v2 v2.8.0
	github.com/vestibule-idp/vestibule/helpers/go v0.0.0
)

replace github.com/vestibule-idp/vestibule/helpers/go => ../../helpers/go
