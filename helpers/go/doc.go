// Package vestibuletest runs a Vestibule server for tests and speaks its control API.
//
// [New] is all that most tests need: one server per test binary, one isolated environment per test. [Start] and
// [Attach] are for everything else, such as a server that runs already.
//
// A test binary that uses [New] should say so in its TestMain, so that the server ends with it:
//
//	func TestMain(m *testing.M) { vestibuletest.Main(m) }
package vestibuletest
