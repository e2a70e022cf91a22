package dev.vestibule.testing;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/** Where the server's program is. */
final class ProgramFinder {
  private static final String NO_PROGRAM =
      "No vestibule program was found. Install one with `npm install --save-dev @vestibule-idp/server` or "
          + "`pip install vestibule-idp`, or set VESTIBULE_BIN to the path of one.";
  private static final Map<String, String> PROCESSORS =
      Map.of("amd64", "x64", "x86_64", "x64", "aarch64", "arm64", "arm64", "arm64");

  private final Map<String, String> variables;
  private final Path folder;
  private final String system;
  private final String processor;

  /**
   * Looks on this machine.
   *
   * @param folder where the search for packages begins
   */
  ProgramFinder(Map<String, String> variables, Path folder) {
    this.variables = variables;
    this.folder = folder;
    String name = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    this.system = name.startsWith("windows") ? "windows" : name.startsWith("mac") ? "macos" : "linux";
    this.processor = PROCESSORS.getOrDefault(System.getProperty("os.arch"), System.getProperty("os.arch"));
  }

  /**
   * The program that VESTIBULE_BIN names, the one in PATH, or the one of npm's or Python's package in the folder or one
   * above it.
   *
   * @throws VestibuleException when there is none
   */
  Path find() {
    String named = variables.getOrDefault("VESTIBULE_BIN", "");
    if (!named.isEmpty()) {
      return Path.of(named);
    }
    return inPath().or(this::inPackages).orElseThrow(() -> new VestibuleException(NO_PROGRAM, null));
  }

  private Optional<Path> inPath() {
    Stream<String> folders = Stream.of(variables.getOrDefault("PATH", "").split(File.pathSeparator));
    return folders
        .filter(part -> !part.isEmpty())
        .map(part -> Path.of(part, program()))
        .filter(Files::isExecutable)
        .findFirst();
  }

  private Optional<Path> inPackages() {
    return Stream.iterate(folder.toAbsolutePath(), above -> above != null, Path::getParent)
        .flatMap(above -> packagePlaces().stream().map(above::resolve))
        .filter(Files::isRegularFile)
        .findFirst();
  }

  /** Where npm, pnpm and a virtual environment of Python put the program. */
  private List<String> packagePlaces() {
    String npm = "@vestibule-idp/server-" + system + "-" + processor;
    String pnpm = "node_modules/.pnpm/node_modules/";
    return List.of(
        "node_modules/" + npm + "/bin/" + program(),
        "node_modules/" + npm + "-musl/bin/" + program(),
        pnpm + npm + "/bin/" + program(),
        pnpm + npm + "-musl/bin/" + program(),
        (system.equals("windows") ? ".venv/Scripts/" : ".venv/bin/") + program());
  }

  private String program() {
    return system.equals("windows") ? "vestibule.exe" : "vestibule";
  }
}
