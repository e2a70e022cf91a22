package example;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vestibule.testing.Inbox;
import dev.vestibule.testing.Vestibule;
import dev.vestibule.testing.VestibuleEnvironment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.openqa.selenium.By;
import org.openqa.selenium.WebDriver;
import org.openqa.selenium.chrome.ChromeDriver;
import org.openqa.selenium.chrome.ChromeOptions;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.context.SpringBootTest.WebEnvironment;
import org.springframework.test.context.DynamicPropertyRegistry;
import org.springframework.test.context.DynamicPropertySource;

@SpringBootTest(webEnvironment = WebEnvironment.RANDOM_PORT)
class SignInTest {
  // It ends with the JVM.
  private static final VestibuleEnvironment VESTIBULE = Vestibule.start().defaultEnvironment();

  @Value("${local.server.port}")
  private int port;

  private WebDriver browser;

  /** All that the application learns of Vestibule: what are environment variables elsewhere. */
  @DynamicPropertySource
  static void variables(DynamicPropertyRegistry variables) {
    variables.add("SCALEKIT_ENVIRONMENT_URL", VESTIBULE::url);
    variables.add("SCALEKIT_CLIENT_ID", VESTIBULE::clientId);
    variables.add("SCALEKIT_CLIENT_SECRET", VESTIBULE::clientSecret);
  }

  @BeforeEach
  void openBrowser() {
    ChromeOptions options = new ChromeOptions();
    options.addArguments("--headless=new", "--no-sandbox");
    // The system's browser and its driver, where they are; else those that Selenium finds.
    if (Files.exists(Path.of("/usr/bin/chromedriver"))) {
      System.setProperty("webdriver.chrome.driver", "/usr/bin/chromedriver");
      options.setBinary("/usr/bin/chromium");
    }
    browser = new ChromeDriver(options);
    // Elements are waited for: they may be of the next page.
    browser.manage().timeouts().implicitlyWait(Duration.ofSeconds(10));
  }

  @AfterEach
  void closeBrowser() {
    if (browser != null) {
      browser.quit();
    }
  }

  @Test
  void signsInByTheCodeOfTheEmailAndOut() {
    Inbox inbox = VESTIBULE.inbox("ada@example.com"); // what arrives from now on
    browser.get("http://localhost:" + port);
    browser.findElement(By.linkText("Sign in")).click();
    browser.findElement(By.name("email")).sendKeys("ada@example.com");
    press("Continue");
    browser.findElement(By.name("code")).sendKeys(inbox.nextCode());
    press("Continue");
    assertEquals("Signed in as ada@example.com", browser.findElement(By.xpath("//p[contains(., 'Signed in')]")).getText());

    press("Sign out");
    browser.findElement(By.linkText("Sign in"));
  }

  private void press(String button) {
    browser.findElement(By.xpath("//button[.='" + button + "']")).click();
  }
}
