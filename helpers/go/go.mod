module github.com/vestibule-idp/vestibule/helpers/go

go 1.22
