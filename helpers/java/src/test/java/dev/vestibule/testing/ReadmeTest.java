package dev.vestibule.testing;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class ReadmeTest {
  /** The first sample of the README is what FirstSignInTest runs. */
  @Test
  void samplesRun() throws IOException {
    // Maven runs tests in the project's folder.
    String readme = Files.readString(Path.of("README.md"));
    String test = Files.readString(Path.of("src/test/java/dev/vestibule/testing/FirstSignInTest.java"));
    String[] parts = readme.split("```java\n|```\n?");
    assertTrue(parts.length > 2, "no sample in the README");
    String sample = parts[1];
    assertTrue(sample.lines().count() >= 3, sample);
    assertTrue(test.contains("\n" + sample), "FirstSignInTest does not run the README's sample:\n" + sample);
  }
}
