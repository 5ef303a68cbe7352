"""Traditional characters as simplified ones, one for one, so that offsets into a text stay true.

Not every character: those of the words that rules look for, of the titles of laws and of surnames.
"""

from __future__ import annotations

from typing import Final

_PAIRS: Final = (
    "罰罚沒没違违萬万億亿圓圆幣币計计總总處处責责營营業业員员條条項项號号電电話话證证當当負负經经據据則则規规"
    "許许銷销準准標标檢检測测驗验產产質质糧粮藥药醫医療疗護护衛卫環环廢废氣气聲声圍围築筑設设備备劃划國国務务"
    "華华會会財财稅税徵征發发資资買买賣卖貿贸銀银貸贷險险債债權权監监視视關关廳厅鄉乡鎮镇縣县區区島岛灣湾東东"
    "門门車车運运輸输駛驶駕驾機机動动網网絡络約约貨货價价費费額额廣广專专誤误虛虚偽伪詐诈騙骗競竞爭争壟垄斷断"
    "濫滥傳传場场註注冊册變变記记錄录報报辦办執执無无從从過过製制檔档單单個个體体戶户為为與与於于對对後后時时"
    "間间點点內内實实際际認认識识調调訊讯問问筆笔應应該该將将來来開开張张連连續续繼继給给繳缴納纳賬账帳帐憑凭"
    "補补償偿贓赃餘余勞劳僱雇簽签訂订決决議议審审請请訴诉訟讼復复級级類类別别種种園园農农漁渔殺杀獸兽飼饲養养"
    "魚鱼鮮鲜飲饮飯饭館馆廚厨藝艺術术劇剧圖图書书紙纸雜杂誌志聽听樂乐戲戏遊游覽览導导學学師师訓训練练課课題题"
    "診诊隱隐鍋锅爐炉壓压滅灭災灾塵尘揚扬汙污濁浊鹽盐鋼钢鐵铁礦矿採采懸悬掛挂燈灯燒烧熱热煙烟廠厂樓楼層层牆墙"
    "橋桥樑梁溝沟灘滩澤泽濕湿滲渗濟济協协組组織织團团聯联黨党聞闻罷罢獎奖懲惩誡诫嚴严輕轻較较節节適适況况隨随"
    "雙双歲岁歷历屆届齊齐兩两參参貳贰陸陆"
    "劉刘陳陈楊杨趙赵吳吴孫孙馬马鄧邓馮冯蔣蒋葉叶蘇苏呂吕盧卢鍾钟譚谭賈贾鄒邹賀贺龔龚錢钱湯汤龐庞顏颜駱骆"
    "歐欧簡简溫温韋韦閻阎魯鲁鄭郑謝谢羅罗韓韩蕭萧"
)
_TABLE: Final = {ord(old): new for old, new in zip(_PAIRS[::2], _PAIRS[1::2], strict=True)}


def simplified(text: str) -> str:
    """Return a text of the same length with known traditional characters made simplified."""
    return text if text.isascii() else text.translate(_TABLE)
