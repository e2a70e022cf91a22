"""What a user does in a browser."""

from playwright.sync_api import expect


def test_signs_in_by_the_code_of_the_email_and_out(page, vestibule_server):
    page.goto("/")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Email address").fill("ada@example.com")
    # Opened before the form is sent: no code of an earlier sign-in can be taken for this one's.
    inbox = vestibule_server.inbox("ada@example.com")
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Code").fill(inbox.next_code())
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Signed in as ada@example.com")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()


def test_refuses_a_callback_of_a_sign_in_that_did_not_begin_here(page):
    response = page.goto("/auth/callback?code=stolen&state=made-up")
    assert response.status == 400
