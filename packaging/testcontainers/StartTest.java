import dev.vestibule.testing.Vestibule;
import dev.vestibule.testing.VestibuleEnvironment;
import java.util.Map;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.containers.wait.strategy.Wait;

class StartTest {
  @Test
  void starts() {
    String token = UUID.randomUUID().toString();
    try (var container = new GenericContainer<>("ghcr.io/vestibule-idp/vestibule:0.1")) {
      container
          .withEnv(Map.of("VESTIBULE_EPHEMERAL", "true", "VESTIBULE_CONTROL__TOKEN", token))
          .withExposedPorts(6870)
          .waitingFor(Wait.forHttp("/ready").forPort(6870))
          .start();
      String url = "http://" + container.getHost() + ":" + container.getMappedPort(6870);
      VestibuleEnvironment vestibule = Vestibule.attach(url, token).defaultEnvironment();
    }
  }
}
