module waybill-native

go 1.21
