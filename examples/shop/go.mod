module example.com/shop

go 1.26

require github.com/akrylysov/algnhsa v1.1.0

require github.com/aws/aws-lambda-go v1.55.1 // indirect
