package dev.vestibule.testing;

import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;
import org.junit.jupiter.api.extension.ExtensionContext.Store;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;

/**
 * Gives tests their parameters. A {@link VestibuleEnvironment} is new for each test method and deleted after it; {@code
 * @BeforeEach} and {@code @AfterEach} get the same one. Its application may use {@link VestibuleEnvironment#signIn}. A {@link Vestibule} is the server, one per JVM, for tests
 * that make their environments themselves.
 *
 * <p>In a constructor or {@code @BeforeAll}, the environment is one for the whole class.
 */
public final class VestibuleExtension implements ParameterResolver {
  private static final Namespace NAMESPACE = Namespace.create(VestibuleExtension.class);

  /** Both types, wherever JUnit takes parameters. */
  @Override
  public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
    Class<?> type = parameter.getParameter().getType();
    return type == VestibuleEnvironment.class || type == Vestibule.class;
  }

  /** Starts the server with the first parameter of all. All environment parameters of one test are the same. */
  @Override
  public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
    Vestibule server =
        context
            .getRoot()
            .getStore(NAMESPACE)
            .getOrComputeIfAbsent(Server.class, key -> new Server(Vestibule.start()), Server.class)
            .server();
    if (parameter.getParameter().getType() == Vestibule.class) {
      return server;
    }
    // The key is the test's own: the store also finds what the class around the test has put there.
    return context
        .getStore(NAMESPACE)
        .getOrComputeIfAbsent(
            context.getUniqueId(),
            key -> new Environment(server.newEnvironment(EnvironmentOptions.defaults())),
            Environment.class)
        .environment();
  }

  /** JUnit closes these itself; that it closes every AutoCloseable came later. */
  private record Server(Vestibule server) implements Store.CloseableResource {
    @Override
    public void close() {
      server.close();
    }
  }

  private record Environment(VestibuleEnvironment environment) implements Store.CloseableResource {
    @Override
    public void close() {
      environment.close();
    }
  }
}
