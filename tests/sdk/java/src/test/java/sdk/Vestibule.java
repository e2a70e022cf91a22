package sdk;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.CookieManager;
import java.net.URI;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** A server of one's own, its inbox and clock, and a person with a browser. */
final class Vestibule implements AutoCloseable {
  static final ObjectMapper JSON = new ObjectMapper();

  /** Port 443 and no port in the URL, as the SDK wants it. */
  static final boolean ON_443 = Boolean.getBoolean("vestibule.on443");

  private final Process process;
  private final Path log;
  private final String plainUrl;
  /** The environment URL that an application is given. */
  final String url;
  final int port;
  final String clientId;
  final String clientSecret;

  /** Starts a server that keeps its data there; `port` is where it listens again after a stop, 0 anywhere. */
  Vestibule(Path data, int port) throws Exception {
    this(data, port, Map.of());
  }

  /** The same with environment variables, which are its settings. */
  Vestibule(Path data, int port, Map<String, String> settings) throws Exception {
    Path folder = Files.createTempDirectory(data, "run");
    Path ready = folder.resolve("ready.json");
    log = folder.resolve("log");
    List<String> command = new ArrayList<>(List.of(System.getenv("VESTIBULE_BIN"), "serve", "--data-dir", data.toString(),
        "--listen", "localhost:" + port, "--ready-file", ready.toString()));
    if (ON_443) {
      command.addAll(List.of("--listen-tls", "localhost:443"));
    }
    ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true);
    builder.redirectOutput(log.toFile());
    // What the caller's shell or CI sets for a server of its own is not for these.
    builder.environment().keySet().removeIf(name -> name.equals("DATABASE_URL") || name.startsWith("VESTIBULE_"));
    builder.environment().putAll(settings);
    process = builder.start();
    Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly));
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!Files.exists(ready)) {
      if (!process.isAlive() || System.nanoTime() > deadline) {
        process.destroyForcibly();
        throw new IllegalStateException("the server did not start: " + Files.readString(log));
      }
      process.waitFor(10, TimeUnit.MILLISECONDS);
    }
    JsonNode says = JSON.readTree(ready.toFile());
    plainUrl = says.get("environment_url").asText();
    url = ON_443 ? "https://localhost" : says.get("https_url").asText();
    this.port = URI.create(plainUrl).getPort();
    clientId = says.get("client_id").asText();
    clientSecret = says.get("client_secret").asText();
  }

  @Override
  public void close() throws Exception {
    process.destroy();
    if (!process.waitFor(40, TimeUnit.SECONDS) || process.exitValue() != 0) {
      throw new IllegalStateException("the server did not end well: " + Files.readString(log));
    }
  }

  /** The newest email to an address, waited for. */
  JsonNode mailTo(String address) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create(plainUrl + "/_emulator/v1/messages/latest?to=" + encode(address))).build();
    HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    if (answer.statusCode() != 200) {
      throw new IllegalStateException("no email to " + address + ": " + answer.statusCode());
    }
    return JSON.readTree(answer.body());
  }

  void moveClock(int seconds) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create(plainUrl + "/_emulator/v1/clock"))
        .header("content-type", "application/json")
        .PUT(HttpRequest.BodyPublishers.ofString("{\"advance_s\":" + seconds + "}")).build();
    if (HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.discarding()).statusCode() != 200) {
      throw new IllegalStateException("the clock does not move");
    }
  }

  /** What a person's browser does with an authorization URL; returns the parameters at the application's callback. */
  Map<String, String> signIn(String authorizationUrl, String address) throws Exception {
    HttpClient browser = HttpClient.newBuilder().cookieHandler(new CookieManager()).build();
    HttpResponse<Void> started = browser.send(HttpRequest.newBuilder(URI.create(authorizationUrl)).build(), HttpResponse.BodyHandlers.discarding());
    String page = URI.create(url + "/").resolve(started.headers().firstValue("location").orElseThrow()).toString();
    HttpResponse<Void> done = browser.send(form(page + "/code", Map.of("code", mailTo(address).get("code").asText())), HttpResponse.BodyHandlers.discarding());
    String query = URI.create(done.headers().firstValue("location").orElseThrow()).getRawQuery();
    Map<String, String> parameters = new HashMap<>();
    for (String pair : query.split("&")) {
      String[] parts = pair.split("=", 2);
      parameters.put(parts[0], URLDecoder.decode(parts[1], StandardCharsets.UTF_8));
    }
    return parameters;
  }

  /** Accepts the invitation that was sent to an address, as its page does. */
  void acceptInvitation(String address) throws Exception {
    HttpRequest accept = form(mailTo(address).get("link").asText(), Map.of());
    HttpResponse<String> page = HttpClient.newHttpClient().send(accept, HttpResponse.BodyHandlers.ofString());
    if (page.statusCode() != 200) {
      throw new IllegalStateException("the invitation is not accepted: " + page.body());
    }
  }

  static HttpRequest form(String url, Map<String, String> fields) {
    String body = fields.entrySet().stream().map(e -> e.getKey() + "=" + encode(e.getValue())).collect(Collectors.joining("&"));
    return HttpRequest.newBuilder(URI.create(url)).header("content-type", "application/x-www-form-urlencoded")
        .POST(HttpRequest.BodyPublishers.ofString(body)).build();
  }

  static String encode(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8);
  }

  /** A data folder with the authority that this JVM trusts since its start. */
  static Path newData() throws IOException {
    Path data = Files.createTempDirectory("vestibule-sdk-java");
    Path tls = Files.createDirectory(data.resolve("tls"));
    try (var files = Files.list(Path.of(System.getenv("VESTIBULE_SDK_CA"), "tls"))) {
      for (Path file : files.toList()) {
        Files.copy(file, tls.resolve(file.getFileName()));
      }
    }
    return data;
  }

  static void delete(Path data) throws IOException {
    try (var paths = Files.walk(data)) {
      paths.sorted(java.util.Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
    }
  }
}
