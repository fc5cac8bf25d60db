package web

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"lockstep/app/pages"
	"lockstep/serve"
	"lockstep/static"
)

// manifestFile is the web app manifest's file, beside the page that it is for: its addresses are
// relative to it.
const manifestFile = "app.webmanifest"

// A manifest is what browsers need to keep a site like an application (W3C, Web Application
// Manifest).
type manifest struct {
	Name            string         `json:"name"`
	Description     string         `json:"description"`
	StartURL        string         `json:"start_url"`
	Scope           string         `json:"scope"`
	Display         string         `json:"display"`
	BackgroundColor string         `json:"background_color"`
	ThemeColor      string         `json:"theme_color"`
	Icons           []manifestIcon `json:"icons"`
}

type manifestIcon struct {
	Src     string `json:"src"`
	Sizes   string `json:"sizes"`
	Type    string `json:"type"`
	Purpose string `json:"purpose"`
}

// newManifest returns the manifest of the pages in a folder that has the assets in it.
func newManifest(assets *static.Assets) ([]byte, error) {
	return json.Marshal(manifest{
		Name: "Lockstep", Description: pages.Description, StartURL: "./", Scope: "./", Display: "standalone",
		BackgroundColor: "#f6f5f1", ThemeColor: "#f6f5f1",
		Icons: []manifestIcon{
			{"." + assets.URL("favicon.svg"), "any", "image/svg+xml", "any"},
			{"." + assets.URL("icon.png"), "512x512", "image/png", "any maskable"},
		},
	})
}

// install is what a page has for those who keep it, or send its address to others. These need the
// whole address of the picture, which has the host of the request in it: only where hosts are named
// (Options.Hosts), or somebody could have a cache keep a page with a host of his own.
func install(c echo.Context, assets *static.Assets, named bool) pages.Install {
	it := pages.Install{Manifest: baseOf(c) + "/" + manifestFile, Picture: baseOf(c) + assets.URL("icon.png")}
	if !named {
		return it
	}
	it.Origin = originOf(c)
	return it
}

// originOf is what the address of the request begins with, as the browser has sent it: anybody can
// say any host.
func originOf(c echo.Context) string {
	host, secure := hostOf(c)
	if secure {
		return "https://" + host
	}
	return "http://" + host
}

// hostOf is the host of the request, as the browser knows it, with its port.
func hostOf(c echo.Context) (host string, secure bool) {
	hosts, secure := serve.Hosts(c.Request())
	if len(hosts) == 0 {
		return c.Request().Host, secure
	}
	return hosts[0], secure
}

// A manifestHandler serves the manifest.
type manifestHandler struct{ *static.Assets }

// manifest serves the manifest of the pages in its folder.
func (a manifestHandler) manifest(c echo.Context) error {
	m, err := newManifest(a.Assets)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.Blob(http.StatusOK, "application/manifest+json", m)
}
