package dev.vestibule.testing;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Users and organizations, in the words of the configuration file.
 *
 * @param users such as {@code Map.of("email", "ada@example.com")}
 * @param organizations such as {@code Map.of("display_name", "Acme")}
 */
@JsonInclude(JsonInclude.Include.NON_EMPTY) // the server knows no empty lists
public record Seed(List<Map<String, ?>> users, List<Map<String, ?>> organizations) {
  /** Users with these addresses, and nothing else. */
  public static Seed users(String... emails) {
    return new Seed(Arrays.stream(emails).<Map<String, ?>>map(email -> Map.of("email", email)).toList(), List.of());
  }
}
