package dev.vestibule.testing;

import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.extension.ExtendWith;

@ExtendWith(VestibuleExtension.class)
class VestibuleExtensionTest {
  private static final Set<String> NAMES = ConcurrentHashMap.newKeySet();
  private static Vestibule firstServer;
  private static VestibuleEnvironment ofTheClass;
  private VestibuleEnvironment before;

  @BeforeAll
  static void beforeAll(VestibuleEnvironment env, Vestibule server) {
    ofTheClass = env;
    firstServer = server;
  }

  @BeforeEach
  void before(VestibuleEnvironment env) {
    before = env;
  }

  @RepeatedTest(3)
  void givesEachTestItsOwn(VestibuleEnvironment env, Vestibule server) {
    assertSame(before, env);
    assertNotSame(ofTheClass, env);
    assertSame(firstServer, server);
    assertTrue(NAMES.add(env.name()), "two tests have " + env.name());
  }
}
