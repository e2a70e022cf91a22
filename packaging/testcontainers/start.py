from secrets import token_urlsafe

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy
from vestibule_testing import attach

token = token_urlsafe()
container = (
    DockerContainer("ghcr.io/vestibule-idp/vestibule:0.1")
    .with_env("VESTIBULE_EPHEMERAL", "true")
    .with_env("VESTIBULE_CONTROL__TOKEN", token)
    .with_exposed_ports(6870)
    .waiting_for(HttpWaitStrategy(6870, "/ready"))
)
with container:
    url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(6870)}"
    vestibule = attach(url, token=token).new_environment()
