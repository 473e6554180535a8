"""The counties and cities of Taiwan, by their official names; a request names one of them exactly."""

from collections.abc import Mapping

# Ministry of the Interior, in the order of its codes: special municipalities first.
ENGLISH: Mapping[str, str] = {
    "臺北市": "Taipei City",
    "高雄市": "Kaohsiung City",
    "新北市": "New Taipei City",
    "臺中市": "Taichung City",
    "臺南市": "Tainan City",
    "桃園市": "Taoyuan City",
    "宜蘭縣": "Yilan County",
    "新竹縣": "Hsinchu County",
    "苗栗縣": "Miaoli County",
    "彰化縣": "Changhua County",
    "南投縣": "Nantou County",
    "雲林縣": "Yunlin County",
    "嘉義縣": "Chiayi County",
    "屏東縣": "Pingtung County",
    "臺東縣": "Taitung County",
    "花蓮縣": "Hualien County",
    "澎湖縣": "Penghu County",
    "基隆市": "Keelung City",
    "新竹市": "Hsinchu City",
    "嘉義市": "Chiayi City",
    "金門縣": "Kinmen County",
    "連江縣": "Lienchiang County",
}
