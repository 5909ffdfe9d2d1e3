package fuse

import (
	"reflect"

	"gpudae/device"
)

// overlap reports whether two views share an element.
func overlap(a, b device.View) bool {
	return !a.IsZero() && !b.IsZero() && a.Memory == b.Memory && a.Offset < b.Offset+b.Len() && b.Offset < a.Offset+a.Len()
}

// same reports whether two views are of the same elements, whatever their shape.
func same(a, b device.View) bool {
	return !a.IsZero() && a.Memory == b.Memory && a.Offset == b.Offset && a.Len() == b.Len()
}

// within reports whether all elements of a view are another's.
func within(v, of device.View) bool {
	return v.Memory == of.Memory && v.Offset >= of.Offset && v.Offset+v.Len() <= of.Offset+of.Len()
}

var viewType = reflect.TypeFor[device.View]()

// touches reports whether an operation reads or writes elements of a view.
func touches(operation any, v device.View) bool {
	fields := reflect.ValueOf(operation)
	for i := range fields.NumField() {
		if f := fields.Field(i); f.Type() == viewType && overlap(f.Interface().(device.View), v) {
			return true
		}
	}
	return false
}
