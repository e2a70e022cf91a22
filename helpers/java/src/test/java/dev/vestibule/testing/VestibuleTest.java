package dev.vestibule.testing;

import static dev.vestibule.testing.Browser.authorizationUrl;
import static dev.vestibule.testing.Browser.openSignIn;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class VestibuleTest {
  @Test
  void startsAttachesAndStops() {
    Vestibule server = Vestibule.start();
    Vestibule attached = Vestibule.attach(server.url() + "/", null);
    VestibuleEnvironment env = attached.defaultEnvironment();
    openSignIn(env, "ada@example.com").enterCode(env.waitForCode("ada@example.com"));
    assertThrows(IllegalStateException.class, env::delete);

    // Who attached does not end what others started.
    attached.close();
    Vestibule.attach(server.url(), null);
    server.close();
    VestibuleException gone = assertThrows(VestibuleException.class, () -> Vestibule.attach(server.url(), null));
    assertEquals(0, gone.status());
    server.close();
  }

  @Test
  void makesEnvironments() {
    try (Vestibule server = Vestibule.start()) {
      EnvironmentOptions options =
          EnvironmentOptions.defaults()
              .name("chosen")
              .redirectUris("https://app.example.com/callback")
              .instantSignIn(false);
      VestibuleEnvironment env = server.newEnvironment(options);
      assertEquals("chosen", env.name());
      assertEquals(server.url() + "/e/chosen", env.url());
      assertEquals(
          409, assertThrows(VestibuleException.class, () -> server.newEnvironment(options)).status());
      VestibuleException refusal =
          assertThrows(VestibuleException.class, () -> env.signIn("ada@example.com", authorizationUrl(env, null)));
      assertEquals(403, refusal.status());
    }
  }

  @Test
  void sendsTheToken(@TempDir Path folder) throws IOException {
    Path config = folder.resolve("vestibule.toml");
    Files.writeString(config, "[control]\ntoken = \"a-token-that-is-long-enough-for-this\"\n");
    try (Vestibule server = Vestibule.start("--config", config.toString())) {
      VestibuleException refusal =
          assertThrows(VestibuleException.class, () -> Vestibule.attach(server.url(), "wrong"));
      assertEquals(401, refusal.status());
      Vestibule attached = Vestibule.attach(server.url(), "a-token-that-is-long-enough-for-this");
      VestibuleEnvironment env = attached.newEnvironment(EnvironmentOptions.defaults());
      openSignIn(env, "ada@example.com");
      env.waitForCode("ada@example.com");
    }
  }

  @Test
  void saysWhyItDoesNotStart() {
    VestibuleException none =
        assertThrows(VestibuleException.class, () -> Vestibule.start(Path.of("no-such-vestibule")));
    assertTrue(none.getMessage().contains("no-such-vestibule"), none.getMessage());
    // The server's own words are in the message.
    VestibuleException wrong = assertThrows(VestibuleException.class, () -> Vestibule.start("--no-such-option"));
    assertTrue(wrong.getMessage().contains("--no-such-option"), wrong.getMessage());
  }
}
