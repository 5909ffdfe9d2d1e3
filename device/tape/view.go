package tape

import (
	"reflect"

	"gpudae/device"
)

// Overlap reports whether two views share an element.
func Overlap(a, b device.View) bool {
	return !a.IsZero() && !b.IsZero() && a.Memory == b.Memory && a.Offset < b.Offset+b.Len() && b.Offset < a.Offset+a.Len()
}

// Same reports whether two views are of the same elements, whatever their shape.
func Same(a, b device.View) bool {
	return !a.IsZero() && a.Memory == b.Memory && a.Offset == b.Offset && a.Len() == b.Len()
}

// Within reports whether all elements of a view are another's.
func Within(v, of device.View) bool {
	return v.Memory == of.Memory && v.Offset >= of.Offset && v.Offset+v.Len() <= of.Offset+of.Len()
}

var viewType = reflect.TypeFor[device.View]()

// Touches reports whether an operation, given by its argument struct, reads or writes
// elements of a view.
func Touches(operation any, v device.View) bool {
	for _, of := range Views(operation) {
		if Overlap(of, v) {
			return true
		}
	}
	return false
}

// Views lists what an operation reads and writes; some may be absent.
func Views(operation any) []device.View {
	fields := reflect.ValueOf(operation)
	var views []device.View
	for i := range fields.NumField() {
		if f := fields.Field(i); f.Type() == viewType {
			views = append(views, f.Interface().(device.View))
		}
	}
	return views
}
