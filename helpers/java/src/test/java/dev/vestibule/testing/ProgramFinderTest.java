package dev.vestibule.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

@EnabledOnOs(OS.LINUX)
class ProgramFinderTest {
  private static final String PROCESSOR = System.getProperty("os.arch").equals("aarch64") ? "arm64" : "x64";

  @TempDir Path project;

  @Test
  void takesTheVariableThenPathThenPackages() throws IOException {
    Path inPackage = program("node_modules/@vestibule-idp/server-linux-" + PROCESSOR + "/bin/vestibule");
    Path inPath = program("tools/vestibule");
    String path = "/nonexistent:" + inPath.getParent();
    assertEquals(Path.of("/elsewhere"), find(Map.of("VESTIBULE_BIN", "/elsewhere", "PATH", path)));
    assertEquals(inPath, find(Map.of("VESTIBULE_BIN", "", "PATH", path)));
    assertEquals(inPackage, find(Map.of("PATH", "/nonexistent")));
  }

  @Test
  void findsEachKindOfPackage() throws IOException {
    String name = "@vestibule-idp/server-linux-" + PROCESSOR;
    for (String place :
        new String[] {
          "node_modules/" + name + "-musl/bin/vestibule",
          "node_modules/.pnpm/node_modules/" + name + "/bin/vestibule",
          ".venv/bin/vestibule"
        }) {
      Path program = program(place);
      assertEquals(program, find(Map.of()));
      Files.delete(program);
    }
  }

  @Test
  void saysHowToGetOneWhereThereIsNone() {
    VestibuleException missing = assertThrows(VestibuleException.class, () -> find(Map.of("PATH", "/nonexistent")));
    assertEquals(
        "vestibule: No vestibule program was found. Install one with `npm install --save-dev @vestibule-idp/server` or "
            + "`pip install vestibule-idp`, or set VESTIBULE_BIN to the path of one.",
        missing.getMessage());
  }

  private Path find(Map<String, String> variables) {
    return new ProgramFinder(variables, project.resolve("src/test")).find();
  }

  private Path program(String place) throws IOException {
    Path path = project.resolve(place);
    Files.createDirectories(path.getParent());
    Files.writeString(path, "");
    path.toFile().setExecutable(true);
    return path;
  }
}
