package sample

import "context"

// Walkback runs the denoising auto-encoder's own Markov chain,
//
//	x̃ ~ C(x̃|x),  x ~ p(x|h),  h = f(x̃)
//
// whose stationary distribution tends to that of the data as the
// reconstruction distribution tends to the true p(x|x̃), if the chain can reach
// every state (Bengio, Yao, Alain and Vincent 2013, theorem 1).
func Walkback(ctx context.Context, c Chains) ([]float32, error) {
	likelihood, err := newFamily(c.Net.DAE(), c.Spread, c.Source.Seed)
	if err != nil {
		return nil, err
	}
	params := make([]float32, c.Net.Rows()*likelihood.width())
	return c.advance(ctx, func(x []float32, first int, step uint32) error {
		rows := len(x) / likelihood.features
		params := params[:rows*likelihood.width()]
		if err := c.Net.Link(params, x, c.Source, first, step); err != nil {
			return err
		}
		for i := range rows {
			likelihood.draw(x[i*likelihood.features:(i+1)*likelihood.features],
				params[i*likelihood.width():(i+1)*likelihood.width()], uint32(first+i), step)
		}
		return nil
	})
}
