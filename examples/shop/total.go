package main

import "fmt"

// prices are in cents.
var prices = map[string]int{"tea": 450, "coffee": 700, "mug": 1200}

const most = 1000 // of one item in an order

// total gives the price of an order in cents.
func total(item string, count int) (int, error) {
	price, ok := prices[item]
	if !ok {
		return 0, fmt.Errorf("item: there is no %q here", item)
	}
	if count < 1 || count > most {
		return 0, fmt.Errorf("count: %d; want 1 to %d", count, most)
	}
	return price * count, nil
}
