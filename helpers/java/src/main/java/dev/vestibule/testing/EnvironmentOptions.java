package dev.vestibule.testing;

import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a new environment is to be. Everything may be left out. Each method gives a changed copy. */
public final class EnvironmentOptions {
  private final Map<String, Object> input;

  private EnvironmentOptions(Map<String, Object> input) {
    this.input = input;
  }

  /** Nothing said: a made-up name, the server's settings, nobody there, real time. */
  public static EnvironmentOptions defaults() {
    return new EnvironmentOptions(Map.of());
  }

  /** Part of the environment's URLs. */
  public EnvironmentOptions name(String name) {
    return with("name", name);
  }

  /** Over the configured settings, in the words of the configuration file. */
  public EnvironmentOptions settings(Map<String, ?> settings) {
    return with("settings", settings);
  }

  /** Who is there from the start, and after each reset. */
  public EnvironmentOptions seed(Seed seed) {
    return with("seed", seed);
  }

  /** The time to begin at. The clock runs on from there. */
  public EnvironmentOptions clock(Instant now) {
    return with("clock", Map.of("now", now.toString()));
  }

  /** The time to begin at. The clock stands still there. */
  public EnvironmentOptions frozenClock(Instant now) {
    return with("clock", Map.of("now", now.toString(), "frozen", true));
  }

  /** Callbacks of the application that is made. */
  public EnvironmentOptions redirectUris(String... uris) {
    return with("redirect_uris", List.of(uris));
  }

  /** Is {@link VestibuleEnvironment#signIn} allowed for the application that is made? Without this, yes. */
  public EnvironmentOptions instantSignIn(boolean isAllowed) {
    return with("instant_sign_in", isAllowed);
  }

  Map<String, Object> input() {
    return input;
  }

  private EnvironmentOptions with(String field, Object value) {
    Map<String, Object> changed = new LinkedHashMap<>(input);
    changed.put(field, value);
    return new EnvironmentOptions(changed);
  }
}
