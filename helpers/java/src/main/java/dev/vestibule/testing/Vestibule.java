package dev.vestibule.testing;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** A Vestibule server. */
public final class Vestibule implements AutoCloseable {
  private static final Duration START_TIMEOUT = Duration.ofSeconds(30);
  private static final Duration STOP_TIMEOUT = Duration.ofSeconds(10);
  private static final Set<String> VARIABLES = Set.of("PATH", "HOME", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT");

  private final String url;
  private final String token;
  private final String clientId;
  private final String clientSecret;
  private final Process process;
  private final Thread atExit;

  private Vestibule(String url, String token, String clientId, String clientSecret, Process process) {
    this.url = url;
    this.token = token;
    this.clientId = clientId;
    this.clientSecret = clientSecret;
    this.process = process;
    this.atExit = process == null ? null : new Thread(process::destroy, "vestibule-stop");
  }

  /**
   * Starts a server of its own on a free port of the loopback interface. It keeps nothing, and ends at the latest with
   * this JVM, unless that is killed.
   *
   * <p>The program is the one in the variable {@code VESTIBULE_BIN}, else {@code vestibule} in {@code PATH}, else the one
   * of npm's package {@code @vestibule-idp/server} or PyPI's {@code vestibule-idp} in the working directory or one above
   * it. It sees only {@code PATH}, {@code HOME} and the variables for temporary folders, so that settings of the machine
   * do not change tests. It reads a {@code vestibule.toml} in the working directory, as always.
   *
   * @param arguments further arguments, such as {@code "--config", "vestibule.toml"}
   * @throws VestibuleException when there is no binary, or the server ends at once (with its log) or does not answer
   *     within 30 s
   */
  public static Vestibule start(String... arguments) {
    return start(new ProgramFinder(System.getenv(), Path.of("")).find(), arguments);
  }

  /**
   * Starts a server of its own, with this binary.
   *
   * @param binary a path, or a name to look for in {@code PATH}
   * @param arguments further arguments
   * @throws VestibuleException as {@link #start(String...)} does
   */
  public static Vestibule start(Path binary, String... arguments) {
    Path folder = null;
    try {
      folder = Files.createTempDirectory("vestibule-testing-");
      return start(binary, folder, arguments);
    } catch (IOException e) {
      throw new VestibuleException(
          binary + " could not be started: " + e.getMessage(), e);
    } finally {
      // Nobody reads it once the server answers, and a JVM that is killed could not delete it later.
      delete(folder);
    }
  }

  /**
   * Uses a server that runs already.
   *
   * @param url the server's environment URL
   * @param token the control API's token; {@code null} where the server wants none, as on loopback
   * @throws VestibuleException when the server does not answer or refuses, as with a wrong token
   */
  public static Vestibule attach(String url, String token) {
    String base = url.replaceAll("/+$", "");
    JsonNode view = new ControlApi(base, token).call("GET", "/environment", null);
    return new Vestibule(base, token, view.path("client_id").asText(), view.path("client_secret").asText(), null);
  }

  /** The environment URL of the default environment, without a slash at the end. */
  public String url() {
    return url;
  }

  /**
   * Makes an isolated environment.
   *
   * @throws VestibuleException with status 400 for options that the server refuses, 409 for a name that is taken
   */
  public VestibuleEnvironment newEnvironment(EnvironmentOptions options) {
    JsonNode view = api(url).call("POST", "/environments", options.input());
    // By path: many machines do not resolve NAME.localhost.
    return new VestibuleEnvironment(
        this,
        view.get("path_url").asText(),
        view.get("name").asText(),
        view.get("client_id").asText(),
        view.get("client_secret").asText());
  }

  /**
   * The environment that is there without being made: the one that an application talks to which was given the server's
   * own URL and credentials. All tests that use it share it.
   */
  public VestibuleEnvironment defaultEnvironment() {
    return new VestibuleEnvironment(this, url, "", clientId, clientSecret);
  }

  /**
   * Ends a server that was started here, and waits for its end. After {@link #attach}, and the second time, it does
   * nothing.
   *
   * @throws VestibuleException when the server did not end well, or had to be killed because it did not end within 10 s
   */
  @Override
  public void close() {
    if (process == null) {
      return;
    }
    synchronized (this) {
      boolean first = process.isAlive();
      process.destroy();
      try {
        if (!process.waitFor(STOP_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS)) {
          process.destroyForcibly();
          throw new VestibuleException("the server did not end within 10 s and was killed", null);
        }
      } catch (InterruptedException e) {
        process.destroyForcibly();
        Thread.currentThread().interrupt();
        throw new VestibuleException("interrupted while the server ended", e);
      } finally {
        forgetAtExit();
      }
      if (first && process.exitValue() != 0) {
        throw new VestibuleException("the server ended with status " + process.exitValue(), null);
      }
    }
  }

  ControlApi api(String base) {
    return new ControlApi(base, token);
  }

  private void forgetAtExit() {
    try {
      Runtime.getRuntime().removeShutdownHook(atExit);
    } catch (IllegalStateException e) {
      // The JVM is at its end, and the hook does what is left.
    }
  }

  private static Vestibule start(Path binary, Path folder, String... arguments) throws IOException {
    Path readyFile = folder.resolve("ready.json");
    File log = folder.resolve("log").toFile();
    List<String> command = new ArrayList<>();
    command.addAll(List.of(binary.toString(), "--ephemeral", "--listen", "localhost:0"));
    command.addAll(List.of("--ready-file", readyFile.toString()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log);
    // Everything that could configure the server stays out.
    Map<String, String> environment = builder.environment();
    environment.keySet().retainAll(VARIABLES);
    Process process = builder.start();
    try {
      JsonNode ready = waitReady(process, readyFile, log.toPath());
      Vestibule server =
          new Vestibule(
              ready.get("environment_url").asText(),
              null,
              ready.get("client_id").asText(),
              ready.get("client_secret").asText(),
              process);
      Runtime.getRuntime().addShutdownHook(server.atExit);
      return server;
    } catch (IOException | RuntimeException e) {
      process.destroyForcibly();
      throw e;
    }
  }

  private static JsonNode waitReady(Process process, Path readyFile, Path log) throws IOException {
    long deadline = System.nanoTime() + START_TIMEOUT.toNanos();
    while (true) {
      // The server writes the file in one step, so what is there is whole.
      if (Files.exists(readyFile)) {
        return ControlApi.JSON.readTree(readyFile.toFile());
      }
      try {
        if (process.waitFor(10, TimeUnit.MILLISECONDS)) {
          throw new VestibuleException("the server ended before it answered:\n" + Files.readString(log), null);
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new VestibuleException("interrupted while the server started", e);
      }
      if (System.nanoTime() > deadline) {
        throw new VestibuleException("the server did not answer in time:\n" + Files.readString(log), null);
      }
    }
  }

  /** What cannot be deleted stays among the temporary files. */
  private static void delete(Path folder) {
    if (folder == null) {
      return;
    }
    try (Stream<Path> paths = Files.walk(folder)) {
      paths.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
    } catch (IOException e) {
      // As above.
    }
  }
}
