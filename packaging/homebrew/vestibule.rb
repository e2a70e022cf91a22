class Vestibule < Formula
  desc "Self-hosted passwordless OpenID Provider that stands in for Scalekit"
  homepage "https://github.com/vestibule-idp/vestibule"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "https://github.com/vestibule-idp/vestibule/releases/download/v@VERSION@/vestibule-macos-arm64.tar.gz"
      sha256 "@SHA256 vestibule-macos-arm64.tar.gz@"
    end
    on_intel do
      url "https://github.com/vestibule-idp/vestibule/releases/download/v@VERSION@/vestibule-macos-x64.tar.gz"
      sha256 "@SHA256 vestibule-macos-x64.tar.gz@"
    end
  end

  on_linux do
    on_arm do
      url "https://github.com/vestibule-idp/vestibule/releases/download/v@VERSION@/vestibule-linux-arm64.tar.gz"
      sha256 "@SHA256 vestibule-linux-arm64.tar.gz@"
    end
    on_intel do
      url "https://github.com/vestibule-idp/vestibule/releases/download/v@VERSION@/vestibule-linux-x64.tar.gz"
      sha256 "@SHA256 vestibule-linux-x64.tar.gz@"
    end
  end

  def install
    bin.install "vestibule"
    doc.install "README.md", "CHANGELOG.md", "THIRD-PARTY-LICENSES.txt", "vestibule.example.toml"
  end

  service do
    run [opt_bin/"vestibule", "--data-dir", var/"vestibule"]
    keep_alive true
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/vestibule --version")
  end
end
