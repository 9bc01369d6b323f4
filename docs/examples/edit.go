// Removes the background of a picture: go run edit.go picture.jpg cutout.png. It needs Go 1.19 or newer.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// What went wrong, in both forms in which the server tells it.
type failure struct {
	Error   json.RawMessage `json:"error"`
	Message string          `json:"message"`
}

func (f failure) reason() string {
	var inner struct{ Details string }
	if json.Unmarshal(f.Error, &inner) == nil {
		return inner.Details
	}
	return f.Message
}

type state struct {
	failure
	RequestID string `json:"request_id"`
	Status    string `json:"status"`
	Result    struct {
		ImageURL string `json:"image_url"`
	} `json:"result"`
}

func env(name, standard string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return standard
}

// send repeats a request until the server is no longer busy, five minutes at most; it returns the body of the answer.
func send(url string, headers map[string]string, body []byte) ([]byte, error) {
	end, pause := time.Now().Add(5*time.Minute), time.Second
	client := http.Client{Timeout: time.Minute}
	for ; ; pause *= 2 {
		method := http.MethodGet
		if body != nil {
			method = http.MethodPost
		}
		request, err := http.NewRequest(method, url, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		for name, value := range headers {
			request.Header.Set(name, value)
		}
		wait, status := pause, 0
		var content []byte
		answer, err := client.Do(request)
		if err == nil {
			content, err = io.ReadAll(answer.Body)
			answer.Body.Close()
			status = answer.StatusCode
			if asked, wrong := strconv.Atoi(answer.Header.Get("Retry-After")); wrong == nil {
				wait = time.Duration(asked) * time.Second
			}
		}
		if err == nil && status/100 == 2 {
			return content, nil
		}
		isBusy := err != nil || status == 429 || status == 503
		if isBusy && time.Now().Add(wait).Before(end) {
			time.Sleep(wait)
			continue
		}
		if err != nil {
			return nil, err
		}
		var told failure
		_ = json.Unmarshal(content, &told) // an answer that is no JSON has no reason
		if status == 460 {
			return nil, fmt.Errorf("the server cannot fetch %s: %s", os.Args[1], told.reason())
		}
		return nil, fmt.Errorf("it failed (%d): %s", status, told.reason())
	}
}

func edit(source, target string) error {
	address := env("API_URL", "http://127.0.0.1:8000")
	token := map[string]string{"api_token": env("API_TOKEN", "me")}
	image := source
	if !strings.HasPrefix(source, "http") {
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		image = base64.StdEncoding.EncodeToString(content)
	}
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"image": image})
	if err != nil {
		return err
	}
	headers := map[string]string{
		"api_token":       token["api_token"],
		"Content-Type":    "application/json",
		"Idempotency-Key": hex.EncodeToString(key), // a request that is sent again runs once
	}
	content, err := send(address+"/v2/image/edit/remove_background", headers, body)
	if err != nil {
		return err
	}
	var now state
	if err := json.Unmarshal(content, &now); err != nil {
		return err
	}
	for end := time.Now().Add(10 * time.Minute); now.Status != "COMPLETED"; time.Sleep(time.Second) {
		content, err := send(address+"/v2/status/"+now.RequestID, token, nil)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(content, &now); err != nil {
			return err
		}
		if now.Status != "COMPLETED" && now.Status != "IN_PROGRESS" {
			return fmt.Errorf("it failed: %s", now.reason())
		}
		if time.Now().After(end) {
			return fmt.Errorf("there is no result after 10 minutes")
		}
	}
	picture, err := send(now.Result.ImageURL, nil, nil) // without the token
	if err != nil {
		return err
	}
	return os.WriteFile(target, picture, 0o644)
}

func main() {
	if err := edit(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
